package detach_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/detachkit/detach/detach"
	"github.com/detachkit/detach/detach/lab"
)

// holdings is what a process holds, and what a start must not add to.
type holdings struct {
	Descriptors, Goroutines, Threads int
}

func ownHoldings() holdings {
	count := func(dir string) int {
		entries, _ := os.ReadDir(dir)
		return len(entries)
	}
	return holdings{count("/proc/self/fd"), runtime.NumGoroutine(), count("/proc/self/task")}
}

// crowd is what became of many starts.
type crowd struct {
	Errors        []string
	Distinct      int // daemons
	Before, After holdings
	Signals       int // SIGCHLD
	Children      bool
}

// A fork without exec is what Go is said to be unable to do: the collector, the
// scheduler and other goroutines' starts go on around it.
var _ = lab.Helper("crowd", func(args []string) error {
	starts, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	children := make(chan os.Signal, 10_000)
	signal.Notify(children, unix.SIGCHLD)
	var c crowd
	c.add(64, 16) // so that the runtime has all threads it wants
	c.Before = ownHoldings()
	c.Distinct = 0
	stop := pressure()
	c.add(starts, 16)
	stop()
	c.After = ownHoldings()
	c.Signals = len(children)
	_, err = unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil)
	c.Children = err != unix.ECHILD
	return json.NewEncoder(os.Stdout).Encode(c)
})

// add starts daemons, looks at each and ends it.
func (c *crowd) add(starts, goroutines int) {
	var left atomic.Int64
	left.Store(int64(starts))
	var mutex sync.Mutex
	seen := map[detach.Identity]bool{}
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				id, err := startAndKill()
				mutex.Lock()
				seen[id] = true
				if err != nil {
					c.Errors = append(c.Errors, err.Error())
				}
				mutex.Unlock()
			}
		})
	}
	all.Wait()
	c.Distinct += len(seen)
}

func startAndKill() (detach.Identity, error) {
	p, err := detach.Command("sleep", "1000").Start(context.Background())
	if err != nil {
		return detach.Identity{}, err
	}
	defer p.Close()
	// Last of all the kernel says of a new program what its arguments are.
	if arguments, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID)); string(arguments) != "sleep\x001000\x00" {
		err = fmt.Errorf("process %d: arguments %q", p.PID, arguments)
	}
	s, ok := lab.ReadStatus(p.PID)
	if !ok || s.Zombie() || !p.Report.OK() || len(p.Report.Hazards) > 0 || s["PPid"] == strconv.Itoa(os.Getpid()) {
		err = fmt.Errorf("process %d: %v, %+v", p.PID, s, p.Report)
	}
	if killed := p.Kill(context.Background()); err == nil {
		err = killed
	}
	return p.Identity(), err
}

// pressure keeps the collector busy, so that stacks move and the world stops.
func pressure() (stop func()) {
	done := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		var keep [64][]byte
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				keep[i%len(keep)] = make([]byte, 16<<10)
				if i%64 == 0 {
					runtime.GC()
				}
			}
		}
	})
	return func() { close(done); all.Wait() }
}

func TestManyStarts(t *testing.T) {
	starts := 2000
	if testing.Short() {
		starts = 500
	}
	cmd := lab.HelperCommand(t, "crowd", strconv.Itoa(starts))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	var c crowd
	require.NoError(t, json.Unmarshal(out, &c))
	require.Empty(t, c.Errors)
	require.Equal(t, starts, c.Distinct)
	require.Equal(t, c.Before.Descriptors, c.After.Descriptors)
	require.LessOrEqual(t, c.After.Goroutines, c.Before.Goroutines)
	// The runtime keeps a thread for each that was ever blocked at one time.
	require.LessOrEqual(t, c.After.Threads, c.Before.Threads+16)
	require.Zero(t, c.Signals, "SIGCHLD")
	require.False(t, c.Children)
}
