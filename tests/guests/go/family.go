// Starts a dynamic child that starts this program again, which starts another one.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

func main() {
	depth := 0
	if len(os.Args) > 1 {
		depth, _ = strconv.Atoi(os.Args[1])
	}
	text, err := os.ReadFile("/data/deep/er/still/yet/leaf")
	fmt.Printf("%d: Go reads %q %v\n", depth, text, err)
	if depth == 3 {
		return
	}
	script := "echo \"$2: the shell reads $(cat /data/deep/er/still/yet/leaf)\"; exec \"$1\" \"$2\""
	child := exec.Command("sh", "-c", script, "sh", "/proc/"+strconv.Itoa(os.Getpid())+"/exe", strconv.Itoa(depth+1))
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	fmt.Println(depth, child.Run())
}
