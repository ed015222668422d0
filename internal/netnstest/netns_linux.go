package netnstest

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// insideVar is set in a process that runs a test in a namespace.
const insideVar = "TM2_NETNS_TEST"

// notPossible begins what such a process says if the machine does not allow it.
const notPossible = "no namespace where every address is local: "

// Inside reports whether the test is in a namespace where every address is local. If not, it
// runs the test there, in another process, and returns false when that has ended: the caller
// returns. The test fails if it fails there. It is skipped if this machine has no such
// namespaces. A benchmark prints its results there, and is skipped here.
func Inside(t testing.TB) bool {
	t.Helper()
	if os.Getenv(insideVar) != "" {
		if err := everyAddress(); err != nil {
			t.Skip(notPossible, err)
		}

		return true
	}
	names := strings.Split(t.Name(), "/")
	for i, name := range names {
		names[i] = "^" + regexp.QuoteMeta(name) + "$"
	}
	// Pdeathsig ends the other process with this one, as far as its thread lives.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, benchmark := t.(*testing.B)
	args := []string{"-test.v", "-test.timeout=0", "-test.run=" + strings.Join(names, "/")}
	if benchmark {
		args = []string{"-test.timeout=0", "-test.run=^$", "-test.bench=" + flag.Lookup("test.bench").Value.String(),
			"-test.benchtime=" + flag.Lookup("test.benchtime").Value.String()}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), insideVar+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if benchmark {
		cmd.Stdout = io.MultiWriter(&out, os.Stdout)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(notPossible, err)
	}
	err := cmd.Wait()
	switch {
	case err != nil:
		t.Errorf("in a network namespace: %v\n%s", err, &out)
	case bytes.Contains(out.Bytes(), []byte(notPossible)):
		t.Skip(out.String())
	case benchmark:
		t.Skip("it has run in a network namespace")
	case !bytes.Contains(out.Bytes(), []byte("--- PASS: "+t.Name())):
		t.Errorf("in a network namespace the test did not run:\n%s", &out)
	default:
		t.Logf("%s", &out)
	}

	return false
}

// SmallDisk returns a directory with a file system of its own, of that many bytes. The test is
// Inside.
func SmallDisk(t testing.TB, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skip(notPossible, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})

	return dir
}

// everyAddress makes every address local, once.
var everyAddress = sync.OnceValue(func() error {
	for _, args := range []string{
		"link set lo up", "route add local 0.0.0.0/0 dev lo", "-6 route add local ::/0 dev lo",
	} {
		if err := runIP(args); err != nil {
			return err
		}
	}

	return os.WriteFile("/proc/sys/net/ipv6/ip_nonlocal_bind", []byte("1"), 0)
})

// IP runs the program ip with the arguments, which are separated by spaces, in a test that runs
// Inside.
func IP(t testing.TB, args string) {
	t.Helper()
	if err := runIP(args); err != nil {
		t.Fatal(err)
	}
}

func runIP(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, bytes.TrimSpace(out))
	}

	return nil
}
