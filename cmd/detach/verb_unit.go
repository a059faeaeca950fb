package main

import (
	"io"
	"os"
)

const unitUsage = `Usage: detach unit [flags] -- COMMAND [ARG...]

Print a unit file: with it systemd does at each boot what detach does once with
these flags, and looks after it. Nothing is started or written.

The flags are those of detach (detach --help), but for what systemd does not do:
-p (systemctl show -P MainPID NAME tells it; status, stop and logs are
systemctl's), --ready other than notify, --fail, --keep, --cgroup, --via fork
and cgroup. The environment is what systemd gives, the PATH of here, and -E;
--unset and --clean-env take away from it. Other limits than those given are
systemd's, and not the ones of here.

Without -o and -e the output goes to the journal. A log or a console that is
missing is made by the user, who has to be able to; a log with a mode of 0666
less the umask. With --stop-console a stop gives the program 30 seconds to
follow the line on its console, then sends SIGTERM and gives it 30 more.

Exit status:
  0    printed
  125  detach failed, or was misused
  126  the program was found but cannot be executed
  127  the program was not found

Examples:
  detach unit -C /srv/mc -o logs/console.log --console console.in \
      --stop-console stop --user mc --memory 4G --restart on-failure -- \
      java -Xmx3G -jar server.jar nogui >/etc/systemd/system/mc.service
  systemctl daemon-reload && systemctl enable --now mc
`

const unitCall = "detach unit"

func runUnit(args []string, stdout, stderr io.Writer) (status int) {
	o, err := parse(unitCall, args)
	if err != nil {
		report(stderr, err)
		return statusFailed
	}
	switch {
	case o.help:
		return write(stdout, stderr, unitUsage)
	case o.version, o.json:
		report(stderr, &usageError{"unit prints a unit file, and nothing else", "detach unit --help lists the flags"})
		return statusFailed
	}
	text, err := o.cmd.UnitFile(o.unit)
	if err != nil {
		report(stderr, err)
		return exitStatus(err)
	}
	return write(stdout, stderr, installation()+text)
}

// installation is a comment with what to do with the file.
func installation() string {
	folder, systemctl := "/etc/systemd/system", "systemctl"
	if os.Geteuid() != 0 {
		folder, systemctl = "~/.config/systemd/user", "systemctl --user"
	}
	return "# Save it as " + folder + "/NAME.service, then:\n" +
		"#   " + systemctl + " daemon-reload && " + systemctl + " enable --now NAME\n"
}
