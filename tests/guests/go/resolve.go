// Resolves names by itself.
package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	for _, name := range os.Args[1:] {
		addresses, err := net.LookupIP(name)
		if err != nil {
			fmt.Println(name, "is not found")
			continue
		}
		for _, address := range addresses {
			if four := address.To4(); four != nil {
				fmt.Println(name, "is", four)
			}
		}
	}
}
