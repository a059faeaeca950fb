package detach_test

import (
	"context"
	"errors"
	"os/exec"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach"
)

// A process may end between any two reads of what is looked at. Then it has
// ended: that is all there is to say.
func TestProcessesThatVanish(t *testing.T) {
	vanished := 0
	for range 200 {
		cmd := exec.Command("true")
		require.NoError(t, cmd.Start())
		var all sync.WaitGroup
		all.Go(func() { _ = cmd.Wait() })
		look := func(what string, f func(p *detach.Process) error) {
			all.Go(func() {
				p, err := detach.Find(cmd.Process.Pid)
				if err == nil {
					defer p.Close()
					err = f(p)
				}
				if err != nil && !errors.Is(err, detach.ErrExited) {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
		look("status", func(p *detach.Process) error { _, err := p.Status(); return err })
		look("wait", func(p *detach.Process) error { return wait(t.Context(), p) })
		look("verify", func(p *detach.Process) error { _, err := p.Verify(); return err })
		look("check", func(p *detach.Process) error {
			err := p.Check(t.Context(), detach.LogLine{Regexp: regexp.MustCompile("x")})
			if errors.Is(err, detach.ErrNoLog) {
				return nil
			}
			return err
		})
		look("send", func(p *detach.Process) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if err := p.Send(ctx, "x"); !errors.Is(err, detach.ErrNoConsole) {
				return err
			}
			return nil
		})
		all.Wait()
		if _, err := detach.Find(cmd.Process.Pid); errors.Is(err, detach.ErrExited) {
			vanished++
		}
	}
	require.NotZero(t, vanished)
}
