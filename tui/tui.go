package tui

import (
	"context"
	"errors"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"golang.org/x/sync/errgroup"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/tui/feed"
)

// drawRate is how often a second there may be something new on the terminal: a key is seen
// after 13 ms in the mean. The renderer's clock ticks all the time, and is most of what an
// idle UI costs.
const drawRate = 40

// Options are what the UI works with.
type Options struct {
	Service  dotmesh.Service
	Operator dotmesh.Operator // nil: cluster jobs are refused in words
	Where    string           // the server's name, as it is shown
	Contexts []Context        // the servers that one can switch to

	// Command returns dm's command line for arguments as a shell takes it, or what is wrong
	// with them. Nil: no command lines are shown.
	Command func(args []string) (string, error)

	// Save writes text into a new file and says which. Nil: nothing can be saved.
	Save func(name string, text []byte) (path string, err error)

	In       io.Reader
	Out      io.Writer
	Env      []string
	Now      func() time.Time
	ReadOnly bool   // nothing can be changed
	Palette  string // one of Palettes; empty: by the settings and the environment
	Settings Settings
	Trace    io.Writer // gets a line of JSON for each frame; nil: nobody counts

	next *next // nil: the user leaves
}

// Run shows the UI until the user leaves or ctx ends. It needs a terminal: see Plain for
// where there is none. Whatever ends it, ctx or a panic, the terminal is put back as it was;
// signals are the caller's, who ends ctx. A server that is out of reach ends nothing.
func Run(ctx context.Context, o Options) error {
	if err := o.Settings.Validate(); err != nil {
		return err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Palette = o.palette()
	for {
		o.next = nil
		if err := runOn(ctx, &o); err != nil || o.next == nil {
			return err
		}
		o.Service, o.Where, o.ReadOnly = o.next.service, o.next.Name, o.next.ReadOnly
	}
}

// runOn shows one server.
func runOn(ctx context.Context, o *Options) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f := feed.New(o.Service, o.Now)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.Run(ctx) })
	u := newUI(ctx, o, f)
	g.Go(func() error {
		traced := *o
		model := traced.trace(u)
		_, err := tea.NewProgram(model, traced.program(ctx)...).Run()
		if err == nil {
			stop() // the feed ends with the program; an error ends it, too, and must be the first
		}
		return err
	})
	err := g.Wait() // and ctx has ended
	u.chores.Wait()
	if p, ok := errors.AsType[*feed.Panic](err); ok {
		panic(p.Error()) // here: the terminal is as it was
	}
	switch {
	case errors.Is(err, tea.ErrProgramPanic):
		return dotmesh.E("tui.Run", dotmesh.Internal, "the UI has made a mistake and had to end; what stands above tells where")
	case errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, context.Canceled) || errors.Is(err, tea.ErrInterrupted):
		return nil // asked for
	}
	return err
}

func (o *Options) program(ctx context.Context) []tea.ProgramOption {
	options := []tea.ProgramOption{
		tea.WithContext(ctx), tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithEnvironment(o.Env), tea.WithFPS(drawRate),
		tea.WithoutSignalHandler(), // signals end ctx; a second handler could wait for ever for a program that has ended
		tea.WithFilter(func(_ tea.Model, msg tea.Msg) tea.Msg { return sized(msg) }),
	}
	if o.Palette == PaletteNone || o.Palette == PaletteASCII {
		options = append(options, tea.WithColorProfile(colorprofile.ASCII))
	}
	return options
}

// sized gives a terminal that says it is 0x0 the size of old: Bubble Tea takes it at its word
// and shows nothing.
func sized(msg tea.Msg) tea.Msg {
	if size, ok := msg.(tea.WindowSizeMsg); ok && (size.Width <= 0 || size.Height <= 0) {
		return tea.WindowSizeMsg{Width: 80, Height: 24}
	}
	return msg
}

// palette is the one asked for, that of the settings, or what the environment says. Any
// NO_COLOR that is not empty means no colour, as no-color.org has it.
func (o *Options) palette() string {
	switch {
	case o.Palette != "":
		return o.Palette
	case o.Settings.Palette != "":
		return o.Settings.Palette
	case getenv(o.Env, "NO_COLOR") != "":
		return PaletteNone
	}
	return PaletteDark
}

// getenv finds the last value of a variable.
func getenv(env []string, name string) (value string) {
	for _, v := range env {
		if len(v) > len(name) && v[:len(name)] == name && v[len(name)] == '=' {
			value = v[len(name)+1:]
		}
	}
	return value
}
