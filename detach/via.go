package detach

// Via is how a daemon is held, so that it outlives its manager.
type Via string

const (
	// ViaAuto, the zero value, looks at what holds the caller. In a unit of
	// systemd whose KillMode= would take the daemon along when the unit is
	// stopped (systemd is asked), or in a login session where logind has
	// KillUserProcesses=yes, it is ViaSystemd. If that cannot be reached or
	// refuses, or would start the program outside what confines the caller, and
	// everywhere else, it is ViaFork; what remains of the danger is then a Hazard
	// in Process.Report. With limits that are of a cgroup it is
	// ViaSystemd where systemd is the init, and else ViaCgroup.
	ViaAuto Via = ""

	// ViaFork is a double fork. The daemon stays in the caller's cgroup.
	ViaFork Via = "fork"

	// ViaSystemd asks systemd for a transient service, which has everything as
	// the double fork would give it: the service manager of the machine for
	// root, that of the user for everybody else. It needs the package
	// github.com/detachkit/detach/detach/systemd in the program, systemd 243 or
	// later, and a D-Bus, or root. Differences remain: the daemon leads its
	// session, as all services do; Ready cannot have a NotifyFD; arguments and
	// environment are UTF-8, and the names of variables are letters, digits and
	// underscores, not beginning with a digit; others are left out, with a
	// Hazard; and a User needs an entry in /etc/passwd. The caller has to be in
	// the PID namespace of systemd.
	//
	// Of what confines the caller it is given no_new_privs, the CPU affinity and,
	// by the machine's systemd, the bounding set of capabilities. It is outside
	// the rest: network, IPC, UTS and user namespaces, another root directory, a
	// seccomp filter. ViaAuto forks because of these, and else there is a
	// HazardSandboxLeft. A mount namespace, in which the program has to be the
	// same file as for systemd, is left by ViaAuto too, with that Hazard.
	ViaSystemd Via = "systemd"

	// ViaCgroup is a double fork into another cgroup, of version 2 and, where
	// there is one, of the hierarchy name=systemd of version 1: Cmd.Cgroup, or one
	// made for the daemon beside the topmost ancestor of the caller's, or further
	// down for who may not write there. It is for root, or a delegated subtree,
	// where no systemd runs. Process.Stop removes what was made. What a daemon
	// leaves that ends by itself, the next start with its PID file removes; without
	// one, the next start that makes a cgroup in the same place.
	ViaCgroup Via = "cgroup"
)
