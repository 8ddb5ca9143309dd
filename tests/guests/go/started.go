// Programs and scripts that are in a folder of the target's only, as Go starts them.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

func run(name string, words ...string) {
	output, err := exec.Command(name, words...).CombinedOutput()
	fmt.Printf("%s: %q %v\n", name, output, err)
}

func main() {
	os.Setenv("PATH", "/usr/bin:/bin:/data/bin")
	found, err := exec.LookPath("greet")
	fmt.Println(found, err)
	for _, name := range []string{"tool", "/data/bin/tool", "greet", "/data/bin/greet", "/data/bin/by-tool"} {
		run(name, "told", "a b")
	}
	for _, name := range []string{"/data/bin/plain", "/data/bin/broken", "/data/bin/nothing"} {
		_, err := exec.Command(name).Output()
		fmt.Println(name, errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission))
	}
	var all sync.WaitGroup
	for i := 0; i < 16; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			output, err := exec.Command("greet", "many").Output()
			if string(output) != "/data/bin/greet: many\n" || err != nil {
				fmt.Printf("%q %v\n", output, err)
			}
		}()
	}
	all.Wait()
	fmt.Println(syscall.Exec("/data/bin/greet", []string{"as said", "exec"}, os.Environ()))
}
