// One chat completion with Go's net/http. With an argument "h1" without HTTP/2. Builds with Go 1.19 and later.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
)

func main() {
	body, _ := json.Marshal(map[string]any{
		"model":    "gpt-4o-mini",
		"messages": []map[string]string{{"role": "user", "content": "What is the answer?"}},
	})
	client := http.DefaultClient
	if len(os.Args) > 1 && os.Args[1] == "h1" {
		none := map[string]func(string, *tls.Conn) http.RoundTripper{}
		client = &http.Client{Transport: &http.Transport{TLSNextProto: none}}
	}
	answer, err := client.Post("https://api.openai.com/v1/chat/completions", "application/json", bytes.NewReader(body))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer answer.Body.Close()
	var value struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := json.NewDecoder(answer.Body).Decode(&value); err != nil || len(value.Choices) == 0 {
		fmt.Fprintln(os.Stderr, "no answer:", err)
		os.Exit(1)
	}
	fmt.Println(value.Choices[0].Message.Content)
}
