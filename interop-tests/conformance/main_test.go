package conformance

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
)

// The packages of the programs that the tests run.
const (
	tm2netPackage = "github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net"
	nodePackage   = "github.com/tm2-libp2p/tm2-libp2p/interop-tests/conformance/node"
)

// full plays slow cases, against all versions, and builds all faults.
var full = os.Getenv("CONFORM_FULL") != ""

// atATime is how many nodes are judged at a time: most of the time a run waits for timers of its node.
const atATime = "4"

// building lets one program be built at a time, which takes all cores.
var building sync.Mutex

// programs is the folder of tm2net and node.
var programs string

func TestMain(m *testing.M) {
	if programs = os.Getenv(programsVar); programs != "" {
		goleak.VerifyTestMain(m)
	}
	flag.Parse()
	if err := flag.Set("test.parallel", atATime); err != nil {
		panic(err) // it is a number
	}
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		if err := os.RemoveAll(programs); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
		os.Exit(status)
	}))
}

// programsVar names the folder of the programs in a process of this test that another one starts.
const programsVar = "CONFORM_PROGRAMS"

func build() (err error) {
	if programs, err = os.MkdirTemp("", "conformance"); err != nil {
		return err
	}
	for name, pkg := range map[string]string{"tm2net": tm2netPackage, "node": nodePackage} {
		if err := goBuild(program(name), pkg); err != nil {
			return err
		}
	}

	return os.Setenv(programsVar, programs)
}

// buildVersions builds the releases of gno, for the first test that needs them.
var buildVersions = sync.OnceValue(func() error { return legacy.BuildVersions(versions()...) })

func program(name string) string { return filepath.Join(programs, name) }

// goBuild builds a program, without the race detector, as foreign nodes are.
func goBuild(out, pkg string, flags ...string) error {
	building.Lock()
	defer building.Unlock()
	cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), pkg)...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, text)
	}

	return nil
}

// versions are those of gno that are judged.
func versions() []string {
	if full {
		return []string{legacy.V1_7_1, legacy.V1_5_1, legacy.V1_4_0, legacy.V1_2_0, legacy.V1_1_0}
	}

	return []string{legacy.V1_7_1, legacy.V1_1_0}
}
