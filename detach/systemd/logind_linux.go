package systemd

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	logindName = "org.freedesktop.login1"
	logindPath = dbus.ObjectPath("/org/freedesktop/login1")
	logindFace = "org.freedesktop.login1.Manager"
)

// logind is a connection to systemd-logind.
type logind struct {
	bus    *dbus.Conn
	cancel context.CancelFunc
}

func connectLogind(ctx context.Context) (*logind, error) {
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	timer := time.AfterFunc(patience, func() { cancel(errNoAnswer) })
	defer timer.Stop()
	stop := context.AfterFunc(ctx, func() { cancel(ctx.Err()) })
	defer stop()
	bus, err := dial(life, addresses(0)[0], true)
	if cause := context.Cause(life); cause != nil {
		err = cause
	}
	if err != nil {
		cancel(err)
		return nil, err
	}
	return &logind{bus, func() { cancel(nil) }}, nil
}

func (l *logind) Close() { l.cancel() }

func (l *logind) get(ctx context.Context, path dbus.ObjectPath, face, name string, to any) error {
	return get(ctx, l.bus.Object(logindName, path), face, name, to)
}

// KillsProcesses is what logind does with these three, in manager_shall_kill of
// systemd's src/login/logind-core.c: root is spared by default.
func (l *logind) KillsProcesses(ctx context.Context, uid int) (bool, error) {
	var kills bool
	if err := l.get(ctx, logindPath, logindFace, "KillUserProcesses", &kills); err != nil {
		return false, err
	}
	var only, exclude []string
	if err := l.get(ctx, logindPath, logindFace, "KillOnlyUsers", &only); err != nil {
		return false, err
	}
	if err := l.get(ctx, logindPath, logindFace, "KillExcludeUsers", &exclude); err != nil {
		return false, err
	}
	name := userName(uid)
	switch {
	case len(exclude) == 0 && uid == 0, slices.Contains(exclude, name):
		return false, nil
	case len(only) > 0:
		return slices.Contains(only, name), nil
	}
	return kills, nil
}

func userName(uid int) string {
	if uid == 0 {
		return "root"
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// Lingers asks logind, and looks for its file where it knows nothing of a user
// who is not logged in.
func (l *logind) Lingers(ctx context.Context, uid int) (bool, error) {
	var lingers bool
	err := l.get(ctx, dbus.ObjectPath(fmt.Sprintf("%s/user/_%d", logindPath, uid)), "org.freedesktop.login1.User", "Linger", &lingers)
	if isError(err, "org.freedesktop.DBus.Error.UnknownObject", "org.freedesktop.login1.NoSuchUser") {
		_, err = os.Stat("/var/lib/systemd/linger/" + userName(uid))
		return err == nil, nil
	}
	return lingers, err
}
