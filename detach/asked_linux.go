package detach

import "context"

// askedUnits is what was asked of systemd about a unit, once in an inspection
// that may have to look several times.
type askedUnits struct {
	managers managers
	unit     string
	found    *threat
	known    bool
}

// threat returns what would end a process in the unit whose cgroup
// this is, nil for nothing; known is false where systemd does not tell.
func (a *askedUnits) threat(cgroup string) (t *threat, known bool) {
	if a == nil || cgroup == "" {
		return nil, false
	}
	if a.unit != cgroup {
		a.unit, a.found, a.known = cgroup, nil, false
		if initIsSystemd() {
			a.found = placeOf(cgroup).threat(context.Background(), &a.managers)
			a.known = a.found == nil || a.found.err == nil
		}
	}
	return a.found, a.known
}

func (a *askedUnits) close() { a.managers.close() }
