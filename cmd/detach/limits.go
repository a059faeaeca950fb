package main

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/detachkit/detach/detach"
)

// limitFlags are the flags that limit what the daemon may use.
func limitFlags(flags flagSet, l *detach.Limits) {
	flags.value(func(s string) (err error) {
		l.Memory, err = parseSize(s)
		return err
	}, "", "memory")
	flags.value(func(s string) (err error) {
		if l.CPUs, err = strconv.ParseFloat(s, 64); err != nil || !(l.CPUs >= 0.01 && l.CPUs <= 1e5) {
			return errors.New("is not a number of CPUs from 0.01 to 100000, such as 1.5")
		}
		return nil
	}, "", "cpus")
	flags.value(func(s string) (err error) {
		if l.Tasks, err = strconv.ParseInt(s, 10, 64); err != nil || l.Tasks < 1 || l.Tasks > detach.MaxTasks {
			return errors.New("is not a number from 1 to " + strconv.Itoa(detach.MaxTasks))
		}
		return nil
	}, "", "tasks")
	flags.value(func(s string) (err error) {
		if l.IOWeight, err = strconv.Atoi(s); err != nil || l.IOWeight < 1 || l.IOWeight > 10000 {
			return errors.New("is not a number from 1 to 10000")
		}
		return nil
	}, "", "io-weight")
	flags.value(func(s string) error { return parseBetween(s, -1000, 1000, &l.OOMScoreAdj) }, "", "oom-score-adj")
	flags.value(func(s string) error { return parseBetween(s, -20, 19, &l.Nice) }, "", "nice")
	flags.value(func(s string) error {
		r, err := parseRlimit(s)
		l.Rlimits = append(l.Rlimits, r)
		return err
	}, "", "rlimit")
}

func parseBetween(s string, low, high int, to **int) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		return errors.New("is not a number from " + strconv.Itoa(low) + " to " + strconv.Itoa(high))
	}
	*to = &n
	return nil
}

// parseSize takes bytes, and K, M, G and T as in systemd.resource-control(5):
// powers of 1024.
func parseSize(s string) (int64, error) {
	bad := errors.New("is not a size such as 2G or 512M")
	number, shift := s, 0
	if at := strings.IndexByte("KMGT", (s + "?")[max(len(s)-1, 0)]); at >= 0 {
		number, shift = s[:len(s)-1], 10*(at+1)
	}
	if whole, err := strconv.ParseInt(number, 10, 64); err == nil && whole >= 0 && whole <= math.MaxInt64>>shift {
		if whole == 0 {
			return 0, bad
		}
		return whole << shift, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if f *= float64(int64(1) << shift); err != nil || shift == 0 || !(f >= 1 && f < 1<<62) {
		return 0, bad
	}
	return int64(f), nil
}

// parseRlimit takes NAME=SOFT[:HARD], and one number for both.
func parseRlimit(s string) (detach.Rlimit, error) {
	name, value, ok := strings.Cut(s, "=")
	soft, hard, both := strings.Cut(value, ":")
	if !both {
		hard = soft
	}
	r := detach.Rlimit{Name: strings.ToLower(name)}
	var softErr, hardErr error
	r.Soft, softErr = parseLimit(soft)
	r.Hard, hardErr = parseLimit(hard)
	if !ok || softErr != nil || hardErr != nil {
		return r, errors.New("is not NAME=SOFT:HARD, such as nofile=4096:65536")
	}
	return r, nil
}

func parseLimit(s string) (uint64, error) {
	if s == "unlimited" || s == "infinity" {
		return detach.RlimitNone, nil
	}
	return strconv.ParseUint(s, 10, 64)
}
