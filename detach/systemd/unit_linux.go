package systemd

import (
	"context"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/detachkit/detach/detach/internal/service"
)

func unitPath(unit string) dbus.ObjectPath {
	return managerPath + "/unit/" + dbus.ObjectPath(sd.PathBusEscape(unit))
}

// absent tells whether an answer means that the unit is not loaded.
func absent(err error) bool {
	return isError(err, "org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.DBus.Error.UnknownObject")
}

// Look returns the state of a unit.
func (c *conn) Look(ctx context.Context, unit string) (service.Unit, error) {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	u := service.Unit{Active: "inactive"}
	all := map[string]dbus.Variant{}
	object := c.calls.Object(busName, unitPath(unit))
	// The object is made for whoever asks for it, from files if there are any:
	// the path is the name of a unit, loaded or not.
	err := object.CallWithContext(asking, "org.freedesktop.DBus.Properties.GetAll", 0, "").Store(&all)
	if absent(err) {
		return u, nil
	}
	if err != nil {
		return u, answer(ctx, err)
	}
	var pid, was uint32
	var code, status, errno int32
	var kind string
	var job struct {
		ID   uint32 // 0 for none
		Path dbus.ObjectPath
	}
	for name, to := range map[string]any{
		"ActiveState": &u.Active, "MainPID": &pid, "ExecMainPID": &was, "Result": &u.Result, "ExecMainCode": &code, "ExecMainStatus": &status,
		"Type": &kind, "StatusText": &u.Text, "StatusErrno": &errno, "Job": &job, "Restart": &u.Restart,
	} {
		if value, ok := all[name]; ok {
			if err := dbus.Store([]any{value.Value()}, to); err != nil {
				return u, err
			}
		}
	}
	u.PID, u.Was, u.Code, u.Status = int(pid), int(was), int(code), int(status)
	u.Queued, u.Notifies, u.Errno = job.ID != 0, kind == "notify", int(errno)
	return u, nil
}

// Keep refers to the unit, so that it stays until the connection is closed.
func (c *conn) Keep(ctx context.Context, unit string) error {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return answer(ctx, c.calls.Object(busName, unitPath(unit)).CallWithContext(asking, unitFace+".Ref", 0).Err)
}

// MayStop sets no property at all, for which systemd asks for the same privilege
// (bus_unit_method_set_properties in its src/core/dbus-unit.c), and not only for
// that: another refusal tells nothing.
func (c *conn) MayStop(ctx context.Context, unit string) error {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := c.systemd.SetUnitPropertiesContext(asking, unit, true)
	if isAnswer(err) && !isError(err, "org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired") {
		return nil
	}
	return answer(ctx, err)
}

// Stop stops a unit until it has gone. A start of it that was asked for before
// is replaced by this.
func (c *conn) Stop(ctx context.Context, unit string) error {
	for {
		asking, cancel := context.WithTimeout(ctx, patience)
		result := make(chan string, 1)
		_, err := c.systemd.StopUnitContext(asking, unit, "replace", result)
		cancel()
		if absent(err) {
			return nil
		}
		if err != nil {
			return answer(ctx, err)
		}
		select {
		case <-result:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.calls.Context().Done():
			return context.Canceled
		}
		u, err := c.Look(ctx, unit)
		if err != nil {
			return err
		}
		if u.Gone() {
			asking, cancel = context.WithTimeout(ctx, patience)
			err = c.systemd.ResetFailedUnitContext(asking, unit)
			cancel()
			if absent(err) {
				err = nil
			}
			return answer(ctx, err)
		}
		select { // it is being stopped by somebody else
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// KillMode returns the property of a service or a scope.
func (c *conn) KillMode(ctx context.Context, unit string) (string, error) {
	face := serviceFace
	if strings.HasSuffix(unit, ".scope") {
		face = scopeFace
	}
	var mode string
	err := c.get(ctx, unitPath(unit), face, "KillMode", &mode)
	return mode, err
}
