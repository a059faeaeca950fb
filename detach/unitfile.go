package detach

// UnitEnv is the environment of a unit file, in place of Cmd.Env: what the
// caller happens to have may be secrets, and does not belong in a file that is
// there for good.
type UnitEnv struct {
	// Set has variables, each "key=value". PATH is the one that the program was
	// found in, if it is neither here nor in Unset.
	Set []string

	// Unset has names that systemd is not to set.
	Unset []string

	// Clean leaves out what systemd sets by itself (see "Environment Variables
	// Set or Propagated by the Service Manager" in systemd.exec(5)), and PATH.
	Clean bool
}

// UnitFile returns a unit file, see systemd.service(5), with which systemd
// starts the program at each boot as ViaSystemd does once. Nothing is started
// or written. For root it is to be one of /etc/systemd/system, for others of
// ~/.config/systemd/user.
//
// The caller's resource limits, nice value and oom_score_adj are not in it, only
// those of Limits are. Without Stdout and Stderr the output goes to the journal.
// A log that is missing is made with a mode of 0666 less the umask, and it and a
// console by the User, who has to be able to.
//
// The error is an *Error: those of Start for what is misspelt or not there, and
// errors.ErrUnsupported for what a unit file cannot say: another Via, a Cgroup, a
// PIDFile, a Ready other than Notify, or a control character in a path.
func (c *Cmd) UnitFile(env UnitEnv) (string, error) {
	return c.unitFile(env)
}
