package dual_test

import (
	"log"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(attackVar); spec != "" {
		if err := attack(spec, os.Stdin, os.Stdout); err != nil {
			log.Fatal(err)
		}

		return
	}
	goleak.VerifyTestMain(m)
}
