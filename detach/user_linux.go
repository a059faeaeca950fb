package detach

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach/internal/doublefork"
)

// account is who a daemon is to be.
type account struct {
	doublefork.User
	name, home string
	unlisted   bool // in /etc/passwd
}

// errSetUserID means that who asks is not who pays.
var errSetUserID = errors.New("the real and the effective user or group differ: nobody changes to another user on behalf of who has executed a set-user-ID program")

// account looks up Cmd.User; nil if that is empty.
func (c *Cmd) account() (*account, error) {
	if c.User == "" {
		return nil, nil
	}
	refuse := func(err error) (*account, error) { return nil, &Error{Op: "user", Path: c.User, Err: err} }
	switch {
	case unix.Getuid() != unix.Geteuid() || unix.Getgid() != unix.Getegid():
		return refuse(errSetUserID)
	case unix.Geteuid() != 0:
		return refuse(fmt.Errorf("only root can: %w", unix.EPERM))
	}
	name, group, hasGroup := strings.Cut(c.User, ":")
	if name == "" || hasGroup && group == "" {
		return refuse(invalidError("is not USER or USER:GROUP"))
	}
	a := &account{name: name, home: "/"}
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		if number, numberErr := parseID(name); numberErr == nil {
			if u, err = user.LookupId(name); err != nil {
				// One without an entry, as in containers. Its groups cannot be
				// told then.
				if !hasGroup {
					return refuse(invalidError("has no entry in /etc/passwd, so its group has to be given: USER:GROUP"))
				}
				u, err, a.UID, a.unlisted = nil, nil, number, true
			}
		}
	}
	if err != nil {
		return refuse(err)
	}
	if u != nil {
		if err := a.take(u); err != nil {
			return refuse(err)
		}
	}
	if hasGroup {
		gid, err := groupID(group)
		if err != nil {
			return refuse(err)
		}
		// As initgroups(3) has them: with this group in the place of its own.
		a.Groups = slices.DeleteFunc(a.Groups, func(g uint32) bool { return g == a.GID || g == gid })
		a.Groups = append([]uint32{gid}, a.Groups...)
		a.GID = gid
	}
	return a, nil
}

// take takes what /etc/passwd and /etc/group say.
func (a *account) take(u *user.User) (err error) {
	a.name, a.home = u.Username, u.HomeDir
	if a.UID, err = parseID(u.Uid); err != nil {
		return err
	}
	if a.GID, err = parseID(u.Gid); err != nil {
		return err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return err
	}
	for _, id := range ids {
		gid, err := parseID(id)
		if err != nil {
			return err
		}
		a.Groups = append(a.Groups, gid)
	}
	return nil
}

func groupID(name string) (uint32, error) {
	g, err := user.LookupGroup(name)
	if err == nil {
		return parseID(g.Gid)
	}
	var unknown user.UnknownGroupError
	if gid, numberErr := parseID(name); errors.As(err, &unknown) && numberErr == nil {
		return gid, nil
	}
	return 0, err
}

// parseID parses the number of a user or a group; the highest one means none.
func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == 1<<32-1 {
		err = unix.EINVAL
	}
	return uint32(n), err
}

// environ sets HOME, USER and LOGNAME where they are the caller's or missing;
// what the manager has chosen stays.
func (a *account) environ(env []string) []string {
	if a == nil {
		return env
	}
	env = slices.Clone(env)
	for _, v := range [][2]string{{"HOME", a.home}, {"USER", a.name}, {"LOGNAME", a.name}} {
		value, there := lookupEnv(env, v[0])
		if own, ok := os.LookupEnv(v[0]); there && (!ok || own != value) {
			continue
		}
		env = slices.DeleteFunc(env, func(entry string) bool { return strings.HasPrefix(entry, v[0]+"=") })
		env = append(env, v[0]+"="+v[1])
	}
	return env
}
