// Tour shows in a second what detach is for: a manager starts a server, is
// killed together with its whole process group, and the server goes on.
//
// It runs the real detach binary (-detach PATH) on a real little web server.
// The same server is also started as a plain child, which dies with the
// manager. All of them are this program in another role: tour manager, tour
// server. Whatever happens, Ctrl-C included, no process and no file is left.
//
// The exit status is 0 if everything was seen to be as promised, else 1.
package main
