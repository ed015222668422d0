// Package outside builds and runs programs whose modules are outside the workspace, since their
// dependencies conflict with those of the workspace.
package outside

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build compiles the program in the folder name below the package parent into dir, and returns
// the path of its binary. With the import path of the package, the folder is found from any
// directory of the workspace.
func Build(ctx context.Context, parent, name, dir string) (string, error) {
	root, err := Output(exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", parent))
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	cmd.Dir = filepath.Join(strings.TrimSpace(string(root)), name)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if _, err := Output(cmd); err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}

	return binary, nil
}

// Output returns the standard output of a command. Its error includes the standard error.
func Output(cmd *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}

	return out, nil
}
