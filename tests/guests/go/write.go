// Makes, changes and removes files there.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func tell(what string, err error) {
	fmt.Println(what, err)
}

func main() {
	folder := "/data/out/from-go"
	tell("folder", os.Mkdir(folder, 0o750))
	path := filepath.Join(folder, "fresh")
	file, err := os.Create(path)
	tell("create", err)
	n, err := file.WriteString("written by Go\n")
	fmt.Println(n, err)
	tell("sync", file.Sync())
	tell("close", file.Close())
	text, err := os.ReadFile(path)
	fmt.Printf("%q %v\n", text, err)
	_, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	tell("again", err)
	tell("append", func() error {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = file.Write([]byte("and more\n"))
		return err
	}())
	tell("mode", os.Chmod(path, 0o640))
	info, err := os.Stat(path)
	fmt.Println(info.Size(), info.Mode(), err)
	tell("rename", os.Rename(path, path+"-2"))
	tell("link", os.Symlink("fresh-2", path))
	target, err := os.Readlink(path)
	fmt.Println(target, err)
	entries, err := os.ReadDir(folder)
	fmt.Println(len(entries), err)
	tell("truncate", os.Truncate(path+"-2", 3))
	text, err = os.ReadFile(path)
	fmt.Printf("%q %v\n", text, err)
	tell("remove", os.RemoveAll(folder))
	_, err = os.Stat(folder)
	fmt.Println(os.IsNotExist(err))
}
