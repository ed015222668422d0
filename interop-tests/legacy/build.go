package legacy

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// common is a module in the same folder as the modules of the peers.
const common = "github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common"

// binaries maps each version to its program. Build sets it.
var binaries map[string]string

// Build compiles the peer of every version, in its own module and outside any workspace, so
// that one version's dependencies do not change another's. It never uses the race detector,
// as foreign nodes do not. TestMain calls Build before any test. remove deletes the programs.
func Build() (remove func() error, err error) {
	dir, err := os.MkdirTemp("", "legacy")
	if err != nil {
		return nil, err
	}
	remove = func() error { return os.RemoveAll(dir) }
	built, err := buildAll(dir)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	binaries = built

	return remove, nil
}

func buildAll(dir string) (map[string]string, error) {
	out, err := run(exec.Command("go", "list", "-m", "-f", "{{.Dir}}", common))
	if err != nil {
		return nil, err
	}
	peers := filepath.Dir(string(bytes.TrimSpace(out)))
	built := make(map[string]string)
	for _, version := range Versions() {
		built[version] = filepath.Join(dir, version)
		build := exec.Command("go", "build", "-o", built[version], ".")
		build.Dir = filepath.Join(peers, version)
		build.Env = append(os.Environ(), "GOWORK=off")
		if _, err := run(build); err != nil {
			return nil, err
		}
	}

	return built, nil
}

func run(cmd *exec.Cmd) (stdout []byte, err error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if stdout, err = cmd.Output(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, stderr.Bytes())
	}

	return stdout, nil
}
