// Go-manager is a web panel for game servers that outlive it.
//
// It starts each server with package detach, in this very process, and keeps
// nothing in memory: which servers run is read from their PID files. So one
// may kill the panel with all of its process group, start it again at once on
// the same port, and find the servers running.
//
//	go-manager [-listen ADDRESS] [-servers DIR] [-jar FILE] [-grace DURATION] [-- COMMAND [ARG...]]
//
// A server is a folder in DIR, and is run there by COMMAND, which is
// java -jar FILE nogui if none is given.
package main
