package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach"
)

// A message stays on its line.
func TestOddPathsAreQuoted(t *testing.T) {
	var said strings.Builder
	report(&said, &detach.Error{Op: "chdir", Path: "a\nb", Err: syscall.ENOTDIR})
	require.Equal(t, "detach: chdir \"a\\nb\": not a directory\n", said.String())
}

func TestQuote(t *testing.T) {
	require.Equal(t, `a b`, quote("a", "b"))
	require.Equal(t, `'' 'a b' 'it'\''s' '$x' /srv/mc-1_2.jar A=b`, quote("", "a b", "it's", "$x", "/srv/mc-1_2.jar", "A=b"))
}
