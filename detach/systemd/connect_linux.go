package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

const (
	busName     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerFace = "org.freedesktop.systemd1.Manager"
	serviceFace = "org.freedesktop.systemd1.Service"
	scopeFace   = "org.freedesktop.systemd1.Scope"
	unitFace    = "org.freedesktop.systemd1.Unit"
)

// patience is how long systemd, logind and the bus may take for an answer. On
// a machine that is not in trouble it takes milliseconds.
const patience = 5 * time.Second

// conn is a connection to a service manager.
type conn struct {
	address string
	user    int
	systemd *sd.Conn
	calls   *dbus.Conn // the one on which systemd is called
	onBus   bool       // not directly, and so with a name that systemd can tell when it goes
	version int        // of systemd, such as 252
	cancel  context.CancelFunc
}

// connect connects to a service manager by its bus or, where that is dead or
// hangs, directly. Where the bus says no, so it is.
func connect(ctx context.Context, user int) (*conn, error) {
	var failed error
	for _, address := range addresses(user) {
		c, err := connectTo(ctx, user, address)
		if err == nil {
			return c, nil
		}
		err = fmt.Errorf("%s: %w", strings.TrimPrefix(address, "unix:path="), err)
		if failed == nil || ctx.Err() == nil {
			failed = errors.Join(failed, err)
		}
		if ctx.Err() != nil || isError(err, "org.freedesktop.DBus.Error.AccessDenied") {
			break
		}
	}
	return nil, oneLine{failed}
}

// addresses are where a service manager is to be found, in the order in which
// to try: as in sd_bus_default(3), and its own socket.
func addresses(user int) []string {
	if user == 0 {
		address := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS")
		if address == "" {
			address = "unix:path=/run/dbus/system_bus_socket"
		}
		if os.Geteuid() != 0 { // the private socket is root's
			return []string{address}
		}
		return []string{address, "unix:path=/run/systemd/private"}
	}
	dir := "/run/user/" + strconv.Itoa(user)
	list := []string{"unix:path=" + dir + "/bus", "unix:path=" + dir + "/systemd/private"}
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" && address != list[0] && user == os.Geteuid() {
		list = append([]string{address}, list...)
	}
	return list
}

func connectTo(ctx context.Context, user int, address string) (_ *conn, err error) {
	// Its end closes the connection: it is what bounds the authentication.
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	timer := time.AfterFunc(patience, func() { cancel(errNoAnswer) })
	stop := context.AfterFunc(ctx, func() { cancel(ctx.Err()) })
	defer func() {
		stop()
		timer.Stop()
		if cause := context.Cause(life); cause != nil && err == nil {
			err = cause
		} else if cause != nil {
			err = cause // and not that the connection was closed
		}
		if err != nil {
			cancel(err)
		}
	}()
	c := &conn{address: address, user: user, onBus: !strings.HasSuffix(address, "/private"), cancel: func() { cancel(nil) }}
	// go-systemd dials twice, one after the other: for its calls and for signals.
	signals := make(chan struct{})
	var second *dbus.Conn
	var secondErr error
	go func() {
		defer close(signals)
		second, secondErr = dial(life, address, c.onBus)
	}()
	c.systemd, err = sd.NewConnection(func() (*dbus.Conn, error) {
		if c.calls != nil {
			<-signals
			return second, secondErr
		}
		bus, err := dial(life, address, c.onBus)
		c.calls = bus
		return bus, err
	})
	if err != nil {
		return nil, err
	}
	var version string
	if err = c.get(life, managerPath, managerFace, "Version", &version); err != nil {
		return nil, err
	}
	c.version = leadingNumber(version)
	return c, nil
}

var errNoAnswer = errors.New("no answer within " + patience.String())

// answer is the error of a call that was to be answered within patience, where
// its context allowed as much.
func answer(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return errNoAnswer
	}
	if err != nil {
		return said{err}
	}
	return nil
}

// said is an error of systemd or the bus, whose words are sentences.
type said struct{ error }

func (e said) Error() string { return strings.TrimSuffix(e.error.Error(), ".") }
func (e said) Unwrap() error { return e.error }

func dial(ctx context.Context, address string, hello bool) (*dbus.Conn, error) {
	bus, err := dbus.Dial(address, dbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if err = bus.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err == nil && hello {
		err = bus.Hello()
	}
	if err != nil {
		bus.Close()
		return nil, err
	}
	return bus, nil
}

func (c *conn) Close() { c.cancel() }

// Peer is systemd, which has made the socket of its bus, too.
func (c *conn) Peer() int { return peerOf(c.calls) }

// get reads a property of an object of systemd.
func (c *conn) get(ctx context.Context, path dbus.ObjectPath, face, name string, to any) error {
	return get(ctx, c.calls.Object(busName, path), face, name, to)
}

func get(ctx context.Context, object dbus.BusObject, face, name string, to any) error {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var value dbus.Variant
	call := object.CallWithContext(asking, "org.freedesktop.DBus.Properties.Get", 0, face, name)
	if err := call.Store(&value); err != nil {
		return answer(ctx, err)
	}
	return dbus.Store([]any{value.Value()}, to)
}

// leadingNumber is the 252 of "252.39-1~deb12u2" and of "v252".
func leadingNumber(version string) int {
	version = strings.TrimPrefix(version, "v")
	end := 0
	for end < len(version) && version[end] >= '0' && version[end] <= '9' {
		end++
	}
	n, _ := strconv.Atoi(version[:end])
	return n
}

// isError tells whether an error is an answer of this name.
func isError(err error, names ...string) bool {
	var answer dbus.Error
	if !errors.As(err, &answer) {
		return false
	}
	for _, name := range names {
		if answer.Name == name {
			return true
		}
	}
	return false
}

// oneLine has the messages of joined errors on one line.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.ReplaceAll(e.error.Error(), "\n", "; ") }
func (e oneLine) Unwrap() error { return e.error }
