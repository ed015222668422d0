package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// errProbeMoved is for those who know probe as a command of this program.
var errProbeMoved = errors.New("probe is a command of tm2net: run tm2net probe ADDRESS (go install ./cmd/tm2net)")

func newProbe() *cobra.Command {
	return &cobra.Command{
		Use:                "probe",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE:               func(*cobra.Command, []string) error { return errProbeMoved },
	}
}
