package detach

import "context"

// Outlook is what a start would meet.
type Outlook struct {
	Via Via `json:"via"` // what Cmd.Via comes to: ViaFork, ViaSystemd or ViaCgroup

	// Unit is the unit of systemd that the caller is in, and Setting what of it
	// or of its login session would end a daemon in the same cgroup, such as
	// "KillMode=control-group". Both are empty if there is nothing.
	Unit    string `json:"unit,omitempty"`
	Setting string `json:"setting,omitempty"`

	// Hazards are what could still end or cripple the daemon.
	Hazards []Hazard `json:"hazards"`
}

// Outlook looks around and starts nothing: it tells what Start would do, and
// what could end or cripple the daemon all the same. Only what Dir, Env, Stdout,
// Stderr, Via and Manager of the Cmd say is looked at. Who else adopts orphans
// here cannot be told before there is one.
func (c *Cmd) Outlook(ctx context.Context) (Outlook, error) { return c.outlook(ctx) }
