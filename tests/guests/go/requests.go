// How many requests a second Go's HTTP client makes of a server: `requests ADDRESS kept|fresh`.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

const clients = 8

func main() {
	url, fresh := "http://"+os.Args[1]+"/", os.Args[2] == "fresh"
	requests := 8000
	if fresh {
		requests = 800
	}
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: clients,
		DisableKeepAlives:   fresh,
		DisableCompression:  true,
	}}
	start := time.Now()
	var all sync.WaitGroup
	for n := 0; n < clients; n++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for n := 0; n < requests/clients; n++ {
				answer, err := client.Get(url)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				if _, err = io.Copy(io.Discard, answer.Body); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				answer.Body.Close()
			}
		}()
	}
	all.Wait()
	fmt.Println(float64(requests) / time.Since(start).Seconds())
}
