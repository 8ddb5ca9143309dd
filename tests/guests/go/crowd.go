// A thousand connections that stand at once, each with a word of its own.
package main

import (
	"fmt"
	"io"
	"net"
	"sync"
)

func main() {
	const crowd = 1000
	var all, done sync.WaitGroup
	var mutex sync.Mutex
	good := 0
	all.Add(crowd)
	done.Add(crowd)
	for i := 0; i < crowd; i++ {
		go func(i int) {
			defer done.Done()
			connection, err := net.Dial("tcp", "10.77.0.2:7")
			all.Done()
			if err != nil {
				fmt.Println(err)
				return
			}
			defer connection.Close()
			all.Wait()
			word := fmt.Sprintf("word %04d", i)
			if _, err := connection.Write([]byte(word)); err != nil {
				fmt.Println(err)
				return
			}
			bytes := make([]byte, len(word))
			_, err = io.ReadFull(connection, bytes)
			if err != nil || string(bytes) != word {
				fmt.Println(i, string(bytes), err)
				return
			}
			mutex.Lock()
			good++
			mutex.Unlock()
		}(i)
	}
	done.Wait()
	fmt.Println(good, "of", crowd)
}
