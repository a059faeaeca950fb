package detach

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/detachkit/detach/detach/internal/service"
)

// unitLines writes a unit file: sections of assignments, see
// systemd.syntax(7). The first thing that cannot be said there is its error.
type unitLines struct {
	text string
	err  error
}

func (f *unitLines) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *unitLines) section(name string) {
	if f.text != "" {
		f.text += "\n"
	}
	f.text += "[" + name + "]\n"
}

// plain assigns a value that is read as it stands.
func (f *unitLines) plain(name, value string) { f.text += name + "=" + value + "\n" }

// expanded assigns a value in which systemd expands specifiers. A backslash at
// the end would continue it on the next line.
func (f *unitLines) expanded(name, value string) {
	f.plain(name, strings.TrimRight(strings.ReplaceAll(value, "%", "%%"), `\`))
}

// path assigns a path that is read as it stands, and cannot be quoted there.
func (f *unitLines) path(name, prefix, path string) {
	if !utf8.ValidString(path) || strings.ContainsFunc(path, isControl) ||
		strings.HasSuffix(path, `\`) || strings.TrimSpace(path) != path || hasDots(path) {
		f.fail(&Error{Op: "write", Path: path, Err: unfitError(name + "= of a unit file cannot say this path")})
		return
	}
	f.expanded(name, prefix+path)
}

// command assigns a command line, see "Command Lines" in systemd.service(5). In
// the path of the program no variables are expanded.
func (f *unitLines) command(name, path string, args ...string) {
	before := len(f.text)
	defer func() {
		if len(f.text)-before > maxUnitLine {
			f.fail(&Error{Op: "write", Path: path, Err: unfitError("the command is longer than a line of a unit file may be")})
		}
	}()
	f.text += name + "=" + f.word(path, false)
	for _, arg := range args {
		f.text += " " + f.word(arg, true)
	}
	f.text += "\n"
}

func (f *unitLines) variable(entry string) {
	name, value, _ := strings.Cut(entry, "=")
	if strings.ContainsFunc(value, func(r rune) bool { return isControl(r) && r != '\t' && r != '\n' }) {
		f.fail(&Error{Op: "environment", Path: name, Err: unfitError("has a control character, which systemd does not pass on")})
	}
	f.text += "Environment=" + f.word(entry, false) + "\n"
}

// word quotes a word where it has to be, see "Quoting" in systemd.syntax(7). In
// a command variables are expanded even in quotes, and specifiers everywhere.
func (f *unitLines) word(s string, inCommand bool) string {
	if !utf8.ValidString(s) {
		f.fail(&Error{Op: "write", Path: s, Err: unfitError("is not UTF-8, which a unit file has to be")})
	}
	var b strings.Builder
	bare, quote := s != "", '"'
	if strings.ContainsRune(s, '"') && !strings.ContainsRune(s, '\'') {
		quote = '\''
	}
	for _, r := range s {
		switch {
		case r == '%', r == '$' && inCommand:
			b.WriteRune(r)
			b.WriteRune(r)
		case r == quote, r == '\\':
			bare = false
			b.WriteRune('\\')
			b.WriteRune(r)
		case isControl(r):
			bare = false
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			bare = bare && (service.IsPlain(r) || r > 0x7f && r != utf8.RuneError)
			b.WriteRune(r)
		}
	}
	if bare {
		return b.String()
	}
	return string(quote) + b.String() + string(quote)
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// executableInUnit tells whether a path may be the first word of a command:
// there systemd takes no quotes and control characters (string_is_safe in its
// src/basic/string-util.c), however they are quoted.
func executableInUnit(path string) bool {
	return !strings.ContainsAny(path, `"'\`) && !strings.ContainsFunc(path, isControl)
}

// throughShell has a shell execute what systemd does not take as the first word
// of a command.
func throughShell(path string, args []string) (string, []string) {
	if executableInUnit(path) {
		return path, args
	}
	return shell, append([]string{"sh", "-c", `exec "$0" "$@"`, path}, args[1:]...)
}

// properties assigns what is a property of D-Bus elsewhere.
func (f *unitLines) properties(list []service.Property) {
	for _, p := range list {
		name, value := p.Name, fmt.Sprint(p.Value)
		switch {
		case name == "CPUQuotaPerSecUSec":
			name, value = "CPUQuota", strconv.FormatFloat(math.Round(float64(p.Value.(uint64))/100)/100, 'f', -1, 64)+"%" // of which it reads two decimals
		case strings.HasSuffix(name, "USec"):
			name, value = strings.TrimSuffix(name, "USec")+"Sec", span(time.Duration(p.Value.(uint64))*time.Microsecond)
		}
		f.plain(name, value)
	}
}
