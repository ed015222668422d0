package child

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	Main(map[string]Role{"greeter": greet, "failing": fail})
	goleak.VerifyTestMain(m)
}

func greet(ctx context.Context, spec json.RawMessage, say func(string)) error {
	var name string
	if err := json.Unmarshal(spec, &name); err != nil {
		return err
	}
	say("hello " + name)
	<-ctx.Done()
	say("bye")

	return nil
}

func fail(context.Context, json.RawMessage, func(string)) error { return errors.New("as it should") }

func startGreeter(t *testing.T) (p *Process, lines chan string) {
	t.Helper()
	lines = make(chan string, 2)
	p, err := Start("greeter", "parent", func(line string) { lines <- line })
	require.NoError(t, err)
	require.Equal(t, "hello parent", <-lines)

	return p, lines
}

func TestStopLetsTheChildFinish(t *testing.T) {
	p, lines := startGreeter(t)
	require.NoError(t, p.Stop())
	require.Equal(t, "bye", <-lines)
}

func TestKillDoesNot(t *testing.T) {
	p, lines := startGreeter(t)
	require.NoError(t, p.Kill())
	<-p.Ended()
	require.Empty(t, lines)
}

func TestChildThatFails(t *testing.T) {
	for _, role := range []string{"failing", "nobody"} {
		p, err := Start(role, nil, func(string) {})
		require.NoError(t, err)
		<-p.Ended()
		var exit *exec.ExitError
		require.ErrorAs(t, p.Stop(), &exit)
		require.Equal(t, 1, exit.ExitCode())
	}
}
