package detach

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/service"
)

func (c *Cmd) unitFile(env UnitEnv) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	if err := c.noUnitFile(); err != nil {
		return "", err
	}
	user, err := c.account()
	if err != nil {
		return "", err
	}
	if user != nil && user.unlisted {
		return "", &Error{Op: "user", Path: c.User, Err: errUnlisted}
	}
	path, err := c.find(c.env())
	if err != nil {
		return "", err
	}
	r := c.record(path)
	if c.Stdout == "" && c.Stderr == "" {
		r.Stdout, r.Stderr = "", "" // the caller's are not the unit's
	}
	if err := c.checkUnitFiles(&r, user); err != nil {
		return "", err
	}
	r.withoutDots()
	f := &unitLines{}
	f.section("Unit")
	f.expanded("Description", strings.TrimPrefix(description(r.Command), "detach: "))
	if c.Restart != RestartNo {
		f.plain("StartLimitIntervalSec", "0") // it is never given up
	}
	f.section("Service")
	c.unitCommands(f, &r)
	c.unitStart(f)
	c.unitProcess(f, &r)
	c.unitEnvironment(f, env)
	f.properties(c.Limits.properties())
	f.properties(c.supervision())
	f.section("Install")
	if unix.Geteuid() == 0 {
		f.plain("WantedBy", "multi-user.target")
	} else {
		f.plain("WantedBy", "default.target")
	}
	return f.text, f.err
}

// noUnitFile refuses what systemd does not do.
func (c *Cmd) noUnitFile() error {
	refuse := func(op, path, why string) error { return &Error{Op: op, Path: path, Err: unfitError(why)} }
	switch {
	case c.Via != ViaAuto && c.Via != ViaSystemd:
		return refuse("via", string(c.Via), "a unit file is for systemd")
	case c.Cgroup != "":
		return refuse("cgroup", c.Cgroup, "systemd gives each unit its own")
	case len(c.Ready.Fail) > 0:
		return refuse("ready", "fail", "systemd does not look at the log")
	case c.PIDFile != "":
		return refuse("pidfile", c.PIDFile, "systemd keeps the PID itself")
	case c.Ready.Keep:
		return refuse("ready", "keep", "systemd ends what is not ready in time")
	}
	for _, condition := range c.Ready.When {
		if condition != (Notify{}) {
			return refuse("ready", condition.String(), "systemd waits for a notification only")
		}
	}
	if initIsSystemd() { // most likely it is for here
		return c.Limits.checkControllers(unix.Geteuid())
	}
	return nil
}

// checkUnitFiles looks at the files as a start would, and opens none.
func (c *Cmd) checkUnitFiles(r *Record, user *account) error {
	if !filepath.IsAbs(r.Dir) {
		return &Error{Op: "chdir", Path: c.Dir, Err: unix.ENOENT} // the working directory has been deleted
	}
	if err := c.oneInput(); err != nil {
		return err
	}
	refuse := func(path string, err error) error { return &Error{Op: "open", Path: path, Err: err} }
	for _, path := range []string{r.Stdin, r.Stdout, r.Stderr, r.Console} {
		if path == "" {
			continue
		}
		var st unix.Stat_t
		err := unix.Stat(path, &st)
		kind := st.Mode & unix.S_IFMT
		switch {
		case err == unix.ENOENT && path != r.Stdin:
			if err := unix.Stat(filepath.Dir(path), &st); err != nil {
				return refuse(path, err)
			}
		case err != nil:
			return refuse(path, err)
		case kind == unix.S_IFDIR:
			return refuse(path, unix.EISDIR)
		case path == r.Console && kind != unix.S_IFIFO:
			return refuse(path, ErrNotFIFO)
		case user != nil && path != r.Stdin && kind != unix.S_IFCHR && st.Uid != user.UID:
			return refuse(path, ErrNotTheirs)
		case path != r.Console && (kind == unix.S_IFIFO || kind == unix.S_IFSOCK):
			return refuse(path, ErrNotLog)
		}
	}
	return nil
}

// lookForProgram fails as the shell would that is to execute it.
const lookForProgram = `[ -e "$0" ] || { echo "$0: not found" >&2; exit 127; }; [ -f "$0" ] && [ -x "$0" ] || { echo "$0: cannot be executed" >&2; exit 126; }`

// unitCommands are what is executed, and what Stop does with the console. The user
// does it, and not root, whom a user could lead astray with a symbolic link.
func (c *Cmd) unitCommands(f *unitLines, r *Record) {
	if opener := r.opener(); opener != nil {
		// systemd takes the shell for the program, and a start for done before the
		// shell has opened anything. So one does it beforehand: then the console is
		// there when the start is done, and what cannot be opened, or is no program, is
		// a failed start.
		f.command("ExecStartPre", shell, append(opener[1:], shell, "-c", lookForProgram, r.Path)...)
	}
	path, args := r.openedByShell(r.Path, r.Command)
	path, args = throughShell(path, args)
	if filepath.Base(args[0]) == filepath.Base(path) && !strings.Contains(path, "$") {
		f.command("ExecStart", path, args[1:]...)
	} else {
		f.command("ExecStart", "@"+path, args...)
	}
	if r.StopConsole != "" {
		// systemd executes this after the program has ended, too, and sends SIGTERM
		// when it has ended itself. It keeps the console open, so that the line is not
		// lost on a program that is yet to open it.
		f.command("ExecStop", shell, "-c",
			`[ -n "$MAINPID" ] && [ -p "$0" ] || exit 0; exec 1<>"$0" && printf '%s\n' "$1" && command -p tail --pid="$MAINPID" -f /dev/null`, r.Console, r.StopConsole)
	}
}

// unitStart is when it counts as started, and how long it has to end.
func (c *Cmd) unitStart(f *unitLines) {
	if c.Ready.wantsNotify() {
		f.plain("Type", "notify")
		if !c.supervised() { // which says it too
			f.plain("NotifyAccess", "all")
		}
		f.plain("TimeoutStartSec", span(cmp.Or(c.Ready.Timeout, readyTimeout)))
	} else {
		f.plain("Type", "exec")
	}
	f.plain("TimeoutStopSec", span(stopTimeout))
}

// unitProcess is what the process is born with.
func (c *Cmd) unitProcess(f *unitLines, r *Record) {
	if user, group, hasGroup := strings.Cut(c.User, ":"); user != "" {
		f.expanded("User", user)
		if hasGroup {
			f.expanded("Group", group)
		}
	}
	f.path("WorkingDirectory", "", r.Dir)
	f.plain("UMask", fmt.Sprintf("%04o", c.umask()))
	f.plain("IgnoreSIGPIPE", "no")
	for _, file := range r.openedBySystemd() {
		switch {
		case file.path == "" && (r.Stdout == "" || file.name == "StandardInput"): // the journal, and null
		case file.path == "":
			f.plain(file.name, "null")
		case file.name == "StandardInput":
			f.path(file.name, "file:", file.path)
		default:
			f.path(file.name, "append:", file.path)
		}
	}
	if c.Limits.Nice != nil {
		f.plain("Nice", fmt.Sprint(*c.Limits.Nice))
	}
	if c.Limits.OOMScoreAdj != nil {
		f.plain("OOMScoreAdjust", fmt.Sprint(*c.Limits.OOMScoreAdj))
	}
	for _, l := range c.Limits.Rlimits {
		name, value, _ := strings.Cut(l.String(), "=")
		f.plain("Limit"+strings.ToUpper(name), strings.ReplaceAll(value, "unlimited", "infinity"))
	}
}

// toldBySystemd are variables by which systemd speaks to what it starts, where
// the unit file asks for that.
var toldBySystemd = []string{"MAINPID", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}

func (c *Cmd) unitEnvironment(f *unitLines, env UnitEnv) {
	names := slices.Clone(env.Unset)
	if env.Clean {
		names = append(names, service.OwnVariables...)
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(toldBySystemd, name) })
	}
	set := env.Set
	_, named := lookupEnv(set, "PATH")
	if path, there := lookupEnv(c.env(), "PATH"); there && !named && !slices.Contains(names, "PATH") {
		set = append([]string{"PATH=" + path}, set...)
	}
	list, lost := variables(set)
	if len(lost) > 0 {
		f.fail(&Error{Op: "environment", Path: enumerate(lost), Err: unfitError("systemd passes on no such names")})
	}
	for _, entry := range list {
		f.variable(entry)
	}
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool {
		_, there := lookupEnv(list, name)
		return there || !isVariable(name)
	})
	if len(names) > 0 {
		f.plain("UnsetEnvironment", strings.Join(names, " "))
	}
}

// span is a time span as systemd.time(7) reads it, which is much as Go writes it.
func span(d time.Duration) string { return d.Truncate(time.Microsecond).String() }
