// Chat completions with Go's net/http until standard input ends, on one connection and on new ones, each compared with the expected text:
// steady TEXT. Every connection goes to the local endpoint, whatever its name. Reports as steady.py does. Builds with Go 1.19 and later.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const url = "https://api.openai.com/v1/chat/completions"

func dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, "127.0.0.1:"+os.Getenv("OBSERVER_TEST_PORT"))
}

func call(client *http.Client) (string, error) {
	body, _ := json.Marshal(map[string]any{
		"model":    "gpt-4o-mini",
		"messages": []map[string]string{{"role": "user", "content": "What is the answer?"}},
	})
	answer, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var value struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := json.NewDecoder(answer.Body).Decode(&value); err != nil || len(value.Choices) == 0 {
		return "", fmt.Errorf("no answer: %v", err)
	}
	return value.Choices[0].Message.Content, nil
}

func main() {
	var ended atomic.Bool
	var lock sync.Mutex
	var group sync.WaitGroup
	calls, wrong := map[string]int{}, []string{}
	for name, fresh := range map[string]bool{"go_on_one_connection": false, "go_on_new_connections": true} {
		group.Add(1)
		go func(name string, fresh bool) {
			defer group.Done()
			client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: fresh, ForceAttemptHTTP2: true}}
			for !ended.Load() {
				text, err := call(client)
				lock.Lock()
				calls[name]++
				if err != nil || text != os.Args[1] {
					wrong = append(wrong, fmt.Sprintf("%s, call %d: %q %v", name, calls[name], text, err))
				}
				lock.Unlock()
				time.Sleep(20 * time.Millisecond)
			}
		}(name, fresh)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	ended.Store(true)
	group.Wait()
	report, _ := json.Marshal(map[string]any{"pid": os.Getpid(), "calls": calls, "wrong": wrong})
	fmt.Println(string(report))
}
