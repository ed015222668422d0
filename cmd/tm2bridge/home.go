package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// addHome adds the --home flag, which homeOf reads.
func addHome(cmd *cobra.Command) {
	cmd.Flags().String("home", "", "home directory of the bridge (default: $"+config.EnvironmentHome+", or ~/.tm2bridge)")
}

// homeOf returns the home directory of a command.
func homeOf(cmd *cobra.Command) (string, error) {
	home, err := cmd.Flags().GetString("home")
	if err != nil || home != "" {
		return home, err
	}
	home, err = config.DefaultHome()

	return home, cli.WithStatus(exitConfig, err)
}

// addKeys adds a flag for each key of config.toml, which overridesOf reads.
func addKeys(cmd *cobra.Command) {
	for _, k := range config.Keys() {
		cmd.Flags().String(k.Name, "", k.Comment)
	}
}

// overridesOf returns what the environment and the flags of a command say in place of the file.
func overridesOf(cmd *cobra.Command) ([]config.Override, error) {
	overrides, err := config.FromEnvironment(os.Environ())
	if err != nil {
		return nil, cli.WithStatus(exitConfig, err)
	}
	for _, k := range config.Keys() {
		if flag := cmd.Flags().Lookup(k.Name); flag != nil && flag.Changed {
			overrides = append(overrides, config.Override{Key: k.Name, Value: flag.Value.String(), From: "--" + k.Name})
		}
	}

	return overrides, nil
}

// loadConfig reads the configuration of a home. An error says how to make a home.
func loadConfig(home string, overrides []config.Override) (*config.Config, []string, error) {
	cfg, warnings, err := config.Load(config.Path(home), overrides...)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w (make a home with: tm2bridge init --home %s)", err, home)
	}

	return cfg, warnings, cli.WithStatus(exitConfig, err)
}

// loadKey reads the node key of a home.
func loadKey(home string) (*types.NodeKey, error) {
	key, err := types.LoadNodeKey(config.NodeKeyPath(home))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w (make one with: tm2bridge init --home %s)", err, home)
	}

	return key, cli.WithStatus(exitConfig, err)
}

// workingTree returns the Git working tree that a directory is in, or nothing.
func workingTree(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	for {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}
