package detach_test

import (
	"testing"

	"github.com/detachkit/detach/detach/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }
