// Files, names, connections and children, as Go does them: without libc.
package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

func tell(what string, err error, words ...any) {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		fmt.Println(what, "fails:", errno)
		return
	}
	fmt.Println(append([]any{what, err == nil}, words...)...)
}

func files() {
	bytes, err := os.ReadFile("/data/orders.txt")
	tell("read", err, fmt.Sprintf("%x", sha256.Sum256(bytes)))
	_, err = os.ReadFile("/data/no-such-file")
	tell("missing", err)
	info, err := os.Stat("/data/orders.txt")
	tell("stat", err, info.Size(), info.Mode())
	link, err := os.Readlink("/data/link")
	tell("readlink", err, link)
	var names []string
	err = filepath.WalkDir("/data", func(path string, entry fs.DirEntry, err error) error {
		names = append(names, fmt.Sprint(path, entry != nil && entry.IsDir()))
		return nil
	})
	sort.Strings(names)
	tell("walk", err, len(names), fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(names, "\n")))))
	file, err := os.Open("/data/orders.txt")
	tell("open", err)
	same, err := file.Stat()
	tell("same file", err, os.SameFile(info, same))
	at := make([]byte, 5)
	_, err = file.ReadAt(at, 100)
	tell("read at", err, string(at))
	tell("change to", os.Chdir("/data/deep"))
	where, err := os.Getwd()
	tell("stand", err, where)
	_, err = os.Stat("er/still")
	tell("relative", err)
	tell("change back", os.Chdir("/tmp"))
}

func names() {
	addresses, err := net.LookupHost("web.shop")
	sort.Strings(addresses)
	tell("lookup", err, addresses)
	_, err = net.LookupHost("no-such-name.shop")
	var dns *net.DNSError
	fmt.Println("no such name", errors.As(err, &dns) && dns.IsNotFound)
}

func connections() {
	client := &http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get("http://web.shop/from-go")
	if err == nil {
		body, _ := io.ReadAll(answer.Body)
		tell("get", err, answer.StatusCode, string(body))
	} else {
		tell("get", err)
	}
	connection, err := net.Dial("tcp", "10.77.0.2:80")
	if err == nil {
		fmt.Println("peer", connection.RemoteAddr())
		fmt.Fprintf(connection, "GET /raw HTTP/1.0\r\n\r\n")
		line, _ := bufio.NewReader(connection).ReadString('\n')
		fmt.Print("answer ", line)
	}
	_, err = net.Dial("tcp", "10.77.0.2:4")
	tell("refused", err)
	_, err = net.DialTimeout("tcp", "10.77.0.2:80", 5*time.Second)
	tell("in time", err)
	var group sync.WaitGroup
	var mutex sync.Mutex
	n_good := 0
	for i := 0; i < 50; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			answer, err := client.Get("http://10.77.0.2/many")
			if err == nil {
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				mutex.Lock()
				n_good++
				mutex.Unlock()
			}
		}()
	}
	group.Wait()
	fmt.Println("at once", n_good)
}

func children() {
	out, err := exec.Command("cat", "/data/orders.txt").Output()
	tell("cat", err, fmt.Sprintf("%x", sha256.Sum256(out)))
	child := exec.Command("ls")
	child.Dir = "/data/deep"
	out, err = child.Output()
	tell("ls", err, string(out))
	out, err = exec.Command("sh", "-c", "cd /data && wc -l < orders.txt").Output()
	tell("sh", err, string(out))
}

func main() {
	files()
	names()
	connections()
	children()
}
