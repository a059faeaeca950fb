package detach

import "math"

// Limits are what a daemon may use. The zero value sets none. A limit that
// cannot be enforced here is an error of Start, before the program is executed
// or, where only that can tell, right after: then it has been ended.
type Limits struct {
	// Memory, CPUs, Tasks and IOWeight are of the cgroup that is the daemon's
	// alone, for all that it starts as well: with ViaSystemd and ViaCgroup.
	// ViaAuto takes ViaSystemd then, and ViaFork is an error.

	// Memory is the most memory, in bytes: memory.max in cgroups(7). When it is
	// reached, and nothing can be reclaimed, the kernel ends all of the daemon, or
	// with the memory controller in version 1 one of its processes.
	Memory int64 `json:"memory,omitempty"`

	// CPUs is the most CPU time, in CPUs: 1.5 is one and a half.
	CPUs float64 `json:"cpus,omitempty"`

	// Tasks is the most processes and threads together, up to MaxTasks: pids.max.
	Tasks int64 `json:"tasks,omitempty"`

	// IOWeight is its share of the disks beside others that want them too, from
	// 1 to 10000; one without a limit has 100. At least one disk has to have the
	// scheduler BFQ, or the cost model turned on (io.cost.qos), else it is an error.
	IOWeight int `json:"io_weight,omitempty"`

	// OOMScoreAdj is from -1000 (never) to 1000 (first): whom the kernel ends
	// when memory runs out, see proc_pid_oom_score_adj(5). Nil means the
	// caller's.
	OOMScoreAdj *int `json:"oom_score_adj,omitempty"`

	// Nice is from -20 to 19, see nice(2). Nil means the caller's.
	Nice *int `json:"nice,omitempty"`

	// Rlimits are resource limits, see setrlimit(2). The others are the
	// caller's.
	Rlimits []Rlimit `json:"rlimits,omitempty"`
}

// Rlimit is a resource limit.
type Rlimit struct {
	Name string `json:"name"` // such as "nofile" for RLIMIT_NOFILE
	Soft uint64 `json:"soft"` // RlimitNone for none
	Hard uint64 `json:"hard"` // the same
}

// MaxTasks is the highest limit on tasks that the kernel takes: PID_MAX_LIMIT of
// 64 bits in its include/linux/threads.h.
const MaxTasks = 4 << 20

// RlimitNone is RLIM_INFINITY.
const RlimitNone = math.MaxUint64

// needCgroup tells whether a limit is of a cgroup.
func (l Limits) needCgroup() bool {
	return l.Memory != 0 || l.CPUs != 0 || l.Tasks != 0 || l.IOWeight != 0
}

func (l Limits) any() bool {
	return l.needCgroup() || l.OOMScoreAdj != nil || l.Nice != nil || len(l.Rlimits) > 0
}
