package service

// OwnVariables are those that systemd may set in the environment of a service,
// see "Environment Variables Set or Propagated by the Service Manager" in
// systemd.exec(5). Those of its own environment come with them.
var OwnVariables = []string{
	"CACHE_DIRECTORY", "CONFIGURATION_DIRECTORY", "CREDENTIALS_DIRECTORY", "DEBUG_INVOCATION", "FDSTORE",
	"HOME", "INVOCATION_ID", "JOURNAL_STREAM", "LANG", "LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID",
	"LISTEN_PIDFDID", "LOGNAME", "LOGS_DIRECTORY", "LOG_NAMESPACE", "MAINPID", "MAINPIDFDID", "MANAGERPID",
	"MANAGERPIDFDID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "NOTIFY_SOCKET", "PATH", "PIDFILE",
	"RUNTIME_DIRECTORY", "SHELL", "STATE_DIRECTORY", "SYSTEMD_EXEC_PID", "TERM", "USER", "WATCHDOG_PID",
	"WATCHDOG_USEC", "XDG_RUNTIME_DIR",
}
