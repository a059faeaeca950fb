// Package systemd lets package detach have its daemons held by systemd. It has
// no API; importing it is enough:
//
//	import _ "github.com/detachkit/detach/detach/systemd"
//
// It speaks D-Bus, which is linked into the program by that, about 1.2 MB.
// Without it detach.ViaSystemd is an error that wraps errors.ErrUnsupported,
// and in a service whose end would take its daemons along detach.ViaAuto forks
// and warns.
package systemd
