package detach

import (
	"sync"

	"github.com/detachkit/detach/detach/internal/proc"
)

// looks are looks at /proc that those who need one at the same time share: a
// thousand stops at once take a few, not thousands.
var looks shared

// shared gives each caller a list that was begun after it asked.
type shared struct {
	mutex   sync.Mutex
	next    *lookAtAll // that nobody has begun, or nil
	looking bool
}

type lookAtAll struct {
	done chan struct{}
	list []proc.Process
	err  error
}

// take returns a list, which is not to be changed.
func (s *shared) take() ([]proc.Process, error) {
	s.mutex.Lock()
	if s.next == nil {
		s.next = &lookAtAll{done: make(chan struct{})}
	}
	mine := s.next
	if !s.looking {
		s.looking = true
		go s.run()
	}
	s.mutex.Unlock()
	<-mine.done
	return mine.list, mine.err
}

// run looks until nobody waits for it.
func (s *shared) run() {
	for {
		s.mutex.Lock()
		look := s.next
		s.next = nil
		s.looking = look != nil
		s.mutex.Unlock()
		if look == nil {
			return
		}
		look.list, look.err = proc.List()
		close(look.done)
	}
}
