// Writes to a TLS connection by Go's crypto/tls; otherwise as hits.py.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

const (
	host     = "hits.bench.example.net"
	size     = 4000
	batch    = 250
	decision = 500 * time.Millisecond
)

func used() int64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func measure(writes int) map[string]any {
	address := "127.0.0.1:" + os.Getenv("OBSERVER_TEST_PORT")
	connection, err := tls.Dial("tcp", address, &tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer connection.Close()
	data, bytes := make([]byte, size), writes/batch*batch*size
	fmt.Fprintf(connection, "PUT /upload HTTP/1.1\r\nHost: %s\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n", host, bytes)
	time.Sleep(decision)
	cpu := []float64{}
	for n := 0; n < writes/batch; n++ {
		start := used()
		for n := 0; n < batch; n++ {
			if _, err := connection.Write(data); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		cpu = append(cpu, float64(used()-start)/batch)
	}
	return map[string]any{"cpu_ns": cpu, "bytes": bytes}
}

func main() {
	measure(batch)
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		writes, _ := strconv.Atoi(lines.Text())
		answer, _ := json.Marshal(measure(writes))
		fmt.Println(string(answer))
	}
}
