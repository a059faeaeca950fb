package detach

import (
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// defaultPath is where programs are looked for when the environment has no
// PATH, see execvp(3).
const defaultPath = "/usr/local/bin:/usr/bin:/bin"

// errNotInPath is fs.ErrNotExist with better words.
type errNotInPath struct{}

func (errNotInPath) Error() string        { return "not found in PATH" }
func (errNotInPath) Is(target error) bool { return target == fs.ErrNotExist }

// resolve returns a path as the caller has to name it: c's are relative to
// c.Dir. It does not clean it, which would change its meaning where a symbolic
// link is followed by "..".
func (c *Cmd) resolve(path string) string {
	if c.Dir == "" || strings.HasPrefix(path, "/") {
		return path
	}
	return c.Dir + "/" + path
}

// find returns the path to execute, as execvp(3) finds it in the directory and
// environment env of the daemon.
func (c *Cmd) find(env []string) (string, error) {
	if strings.Contains(c.Path, "/") {
		if err := c.checkExecutable(c.Path); err != nil {
			return "", &Error{Op: "find", Path: c.Path, Err: err}
		}
		return c.Path, nil
	}
	if c.Path == "" {
		return "", &Error{Op: "find", Path: `""`, Err: unix.ENOENT}
	}
	path, ok := lookupEnv(env, "PATH")
	if !ok {
		path = defaultPath
	}
	var err error = errNotInPath{}
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		candidate := dir + "/" + c.Path
		switch c.checkExecutable(candidate) {
		case nil:
			return candidate, nil
		case unix.EACCES:
			err = unix.EACCES // it goes on: there may be another one
		}
	}
	return "", &Error{Op: "find", Path: c.Path, Err: err}
}

func (c *Cmd) checkExecutable(path string) error {
	path = c.resolve(path)
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return unix.EISDIR
	case unix.S_IFREG:
		return unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS)
	}
	return unix.EACCES
}
