//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/detachkit/detach/detach/lab"
)

// The page as a browser has it, of a real run.
func TestHTMLInABrowser(t *testing.T) {
	folder := t.TempDir()
	pageFile, dataFile := filepath.Join(folder, "report.html"), filepath.Join(folder, "report.json")
	lab.Program(t, "nohup")
	run := detachtest(t, "--only", "sigkill,hangup,kill-session,closed-pipes", "-O", pageFile, "-O", dataFile,
		"-L", "child=env",
		"-L", "nohup & all=shell:nohup {} >/dev/null 2>&1 &",
		"-L", "broken=shell:echo '<i>no</i>' >&2; exit 3",
		"-L", "manager=manager:shell:setsid -f \"$DETACHTEST_PROBE\" >/dev/null 2>&1; exec sleep 1000",
		"-L", "detach="+lab.Bin(t, "detach")+" --")
	require.Equal(t, 1, run.status, run.stderr)
	var r testReport
	data, err := os.ReadFile(dataFile)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &r))

	dom := browse(t, pageFile, "--dump-dom")
	text := string(regexp.MustCompile(`<[^>]*>`).ReplaceAll(dom, nil))
	has := func(markup string) {
		require.True(t, strings.Contains(string(dom), markup), markup)
	}
	for _, d := range r.Deaths {
		has(`<tr><th scope="row">` + d.Name + `<small>`)
		require.True(t, strings.Contains(text, d.Who), d.Who)
	}
	for _, v := range r.Verdicts {
		has(`<a class="sign ` + string(v.Outcome) + `" href="#launcher-` + strconv.Itoa(slices.Index(r.Launchers, v.Launcher)+1) + `-` + v.Death + `"`)
		if v.Why != "" && v.Outcome != launchFailed {
			require.True(t, strings.Contains(text, v.Why), v.Why)
		}
		if v.Birth != nil {
			has("<dt>pid</dt><dd><code>" + string(jsonOf(t, v.Birth.PID)) + "</code></dd>")
			has("<code>0: " + v.Birth.Descriptors[0] + "</code>")
		}
	}
	require.NotContains(t, string(dom), "<i>no</i>", "what a launcher says is no markup")
	require.True(t, strings.Contains(text, "2 of 5 launchers kept the program alive"))
	requireLinksLead(t, string(dom))
	for _, load := range []string{"http:", "https:", "<script", "<link", "<img", "url(", "@import"} {
		require.NotContains(t, string(dom), load, "the page loads something")
	}

	light := screenshot(t, pageFile)
	dark := screenshot(t, pageFile, "--blink-settings=preferredColorScheme=0")
	require.Greater(t, luminance(light.At(3, 3)), luminance(dark.At(3, 3)))
	for _, picture := range []image.Image{light, dark} {
		require.Greater(t, coloursOf(picture), 200, "there is little to see")
	}
}

func jsonOf(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}

// requireLinksLead shows that each link leads to one place on the page.
func requireLinksLead(t *testing.T, dom string) {
	t.Helper()
	ids := map[string]int{}
	for _, id := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(dom, -1) {
		ids[id[1]]++
	}
	links := regexp.MustCompile(` href="#([^"]+)"`).FindAllStringSubmatch(dom, -1)
	require.NotEmpty(t, links)
	for _, link := range links {
		require.Equal(t, 1, ids[link[1]], link[1])
	}
}

// browse has a headless Chromium open the page, and returns what it prints.
func browse(t *testing.T, page string, args ...string) []byte {
	t.Helper()
	// A profile of its own: Chromium would join another one that runs.
	profile, err := os.MkdirTemp("", "chromium-")
	require.NoError(t, err)
	defer func() { _ = os.RemoveAll(profile) }()
	cmd := exec.Command(lab.Program(t, "chromium"), append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir=" + profile, "--hide-scrollbars", "--window-size=1200,1400",
	}, append(args, "file://"+page)...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	return out
}

// screenshot returns how the page looks.
func screenshot(t *testing.T, page string, args ...string) image.Image {
	t.Helper()
	path := filepath.Join(t.TempDir(), "screenshot.png")
	browse(t, page, append(args, "--screenshot="+path)...)
	file, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	picture, err := png.Decode(file)
	require.NoError(t, err)
	require.Equal(t, image.Pt(1200, 1400), picture.Bounds().Size())
	return picture
}

// coloursOf counts the colours of a picture. A blank one has one.
func coloursOf(picture image.Image) int {
	colours := map[color.Color]bool{}
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			colours[picture.At(x, y)] = true
		}
	}
	return len(colours)
}

func luminance(c color.Color) int { return int(color.GrayModel.Convert(c).(color.Gray).Y) }

// What a launcher or its user writes is text, wherever it stands.
func TestHTMLIsEscaped(t *testing.T) {
	html := formatted(t, formatHTML, hostileMatrix())
	require.NotContains(t, html, "<script>")
	require.NotContains(t, html, "<b>")
	require.NotContains(t, html, "<i>")
	requireLinksLead(t, html)
}

func TestHTMLSummary(t *testing.T) {
	of := func(outcomes ...outcome) string {
		m := &matrix{deaths: []death{sigkill}}
		for range outcomes {
			m.launchers = append(m.launchers, launcher{name: "any"})
			m.controls = append(m.controls, verdict{Outcome: died})
		}
		for _, o := range outcomes {
			m.verdicts = append(m.verdicts, verdict{Outcome: o})
		}
		page := formatted(t, formatHTML, m)
		_, rest, _ := strings.Cut(page, "<strong>")
		sentence, _, _ := strings.Cut(rest, "</strong>")
		return sentence
	}
	require.Equal(t, "The program survived every death that was staged.", of(survived))
	require.Equal(t, "The program survived 0 of 1 deaths that were staged.", of(frozen))
	require.Equal(t, "The program survived 0 of 0 deaths that were staged.", of(notRun))
	require.Equal(t, "1 of 3 launchers kept the program alive through every death that was staged.", of(died, survived, notRun))
	require.Equal(t, "None of 2 launchers kept the program alive through every death that was staged; the best came through 0 of 1.", of(died, launchFailed))
}

// Each field of a birth is on the page, those to come too.
func TestFacts(t *testing.T) {
	b := &birth{PID: 7, OpensTerminal: true, Descriptors: map[int]string{10: "b", 2: "a"}, Cgroups: []string{"x", "y"}, OpenFiles: limit{"1", "2"}}
	facts := map[string][]string{}
	for _, f := range b.facts() {
		facts[f.Name] = f.Values
	}
	require.Equal(t, []string{"7"}, facts["pid"])
	require.Equal(t, []string{"yes"}, facts["opens terminal"])
	require.Equal(t, []string{"2: a", "10: b"}, facts["descriptors"])
	require.Equal(t, []string{"x", "y"}, facts["cgroups"])
	require.Equal(t, []string{"soft 1", "hard 2"}, facts["open files"])
	require.Equal(t, []string{"none"}, facts["umask"])
	var asJSON map[string]any
	require.NoError(t, json.Unmarshal(jsonOf(t, b), &asJSON))
	for name := range asJSON {
		require.Contains(t, facts, strings.ReplaceAll(name, "_", " "))
	}
	require.Empty(t, (*birth)(nil).facts())
}
