// Answers requests until it is told to end.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	listener, err := net.Listen("tcp", ":"+os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM)
	go func() {
		<-ends
		os.Exit(0)
	}()
	fmt.Println("listening")
	http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		host, _, _ := net.SplitHostPort(request.RemoteAddr)
		fmt.Println(request.Method, request.URL.Path, len(body), "from", host)
		fmt.Fprintf(answer, "the guest answers %s %s (%d bytes) to %s\n", request.Method, request.URL.Path, len(body), host)
	}))
}
