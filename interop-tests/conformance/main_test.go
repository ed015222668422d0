package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// programs is the folder of tm2net and node.
var programs string

func TestMain(m *testing.M) {
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

func build() (err error) {
	if programs, err = os.MkdirTemp("", "conformance"); err != nil {
		return err
	}
	for name, pkg := range map[string]string{"tm2net": tm2netPackage, "node": nodePackage} {
		if err := goBuild(program(name), pkg); err != nil {
			return err
		}
	}

	return legacy.BuildVersions(versions()...)
}

func program(name string) string { return filepath.Join(programs, name) }

// goBuild builds a program, without the race detector, as foreign nodes are.
func goBuild(out, pkg string, flags ...string) error {
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
