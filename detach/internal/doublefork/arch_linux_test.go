package doublefork

import "runtime"

// cloneFlagsArg is which argument of clone(2) the flags are.
var cloneFlagsArg = map[bool]int{true: 1}[runtime.GOARCH == "s390x"]
