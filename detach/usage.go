package detach

// Usage is what a daemon uses of what its cgroup has: of a daemon with one of
// its own, see ViaSystemd and ViaCgroup. -1 is no limit, or that it cannot be
// told.
type Usage struct {
	Memory    int64   `json:"memory"`     // bytes, caches included
	MemoryMax int64   `json:"memory_max"` // see Limits.Memory
	Tasks     int64   `json:"tasks"`
	TasksMax  int64   `json:"tasks_max"` // see Limits.Tasks
	CPUs      float64 `json:"cpus"`      // see Limits.CPUs
	IOWeight  int64   `json:"io_weight"` // see Limits.IOWeight
	OOMKills  int64   `json:"oom_kills"` // how many of its processes the kernel has ended since they reached MemoryMax
}
