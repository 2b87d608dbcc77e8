// An in-memory Pub/Sub server on 127.0.0.1: prints its address, ends with standard input.
package main

import (
	"fmt"
	"io"
	"os"

	"cloud.google.com/go/pubsub/v2/pstest"
)

func main() {
	server := pstest.NewServer()
	fmt.Println(server.Addr)
	io.Copy(io.Discard, os.Stdin)
	server.Close()
}
