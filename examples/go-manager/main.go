package main

import (
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("go-manager: ")
	listen := flag.String("listen", "127.0.0.1:8080", "the `address` to listen on")
	servers := flag.String("servers", "servers", "the `folder` that holds a folder for each server")
	jar := flag.String("jar", "server.jar", "the `file` to run with java, relative to the folder of the server")
	grace := flag.Duration("grace", 30*time.Second, "how long a server gets for each way of stopping it")
	flag.Parse()
	command := flag.Args()
	if len(command) == 0 {
		command = []string{"java", "-jar", *jar, "nogui"}
	}

	folder, err := filepath.Abs(*servers)
	if err == nil {
		_, err = os.ReadDir(folder)
	}
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("listening on http://%s", listener.Addr())

	p := &panel{folder: folder, command: command, grace: *grace}
	web := &http.Server{
		// A web page from elsewhere must not type on a console.
		Handler:           http.NewCrossOriginProtection().Handler(p.routes()),
		ReadHeaderTimeout: 10 * time.Second,
	}
	// There is nothing to shut down: it may be killed at any moment.
	log.Fatal(web.Serve(listener))
}
