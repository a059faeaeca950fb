package detach

// Restart is when a program that has ended is started again, by systemd: see
// Restart= in systemd.service(5). Stop and Kill end that too.
type Restart string

const (
	RestartNo        Restart = ""           // never
	RestartOnFailure Restart = "on-failure" // when it was killed, exited with another status than 0, or its Watchdog has run out
	RestartAlways    Restart = "always"     // whenever it has ended
)
