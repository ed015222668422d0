package legacy

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// common is a module in the same folder as the modules of the peers.
const common = "github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common"

// binaries maps each version to its program. Build sets it.
var binaries map[string]string

// Build compiles the peer of every version, in its own module and outside any workspace, so
// that one version's dependencies do not change another's. It never uses the race detector,
// as foreign nodes do not. TestMain calls Build before any test. Each peer is a tool of its
// module, so the go command keeps the program in its cache, for all packages and runs.
func Build() error { return BuildVersions(Versions()...) }

// BuildVersions is Build for the given versions.
func BuildVersions(versions ...string) error {
	out, err := run(exec.Command("go", "list", "-m", "-f", "{{.Dir}}", common))
	if err != nil {
		return err
	}
	built := make(map[string]string)
	for _, version := range versions {
		build := exec.Command("go", "tool", "-n", path.Join(path.Dir(common), "gno-"+version))
		build.Dir = filepath.Join(filepath.Dir(string(out)), version)
		build.Env = append(os.Environ(), "GOWORK=off")
		program, err := run(build)
		if err != nil {
			return err
		}
		built[version] = string(program)
	}
	binaries = built

	return nil
}

// run returns the only line that the command writes.
func run(cmd *exec.Cmd) (line []byte, err error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, stderr.Bytes())
	}

	return bytes.TrimSpace(stdout), nil
}
