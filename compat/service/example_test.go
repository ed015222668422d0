package service_test

import (
	"errors"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

// clock is a service: it embeds BaseService and overrides OnStart and OnStop.
type clock struct{ service.BaseService }

func newClock() *clock {
	c := &clock{}
	c.BaseService = *service.NewBaseService(nil, "clock", c)

	return c
}

func (*clock) OnStart() error { fmt.Println("tick"); return nil }
func (*clock) OnStop()        { fmt.Println("silence") }

func ExampleBaseService() {
	c := newClock()
	if err := c.Start(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(c, "runs:", c.IsRunning())
	if err := c.Stop(); err != nil {
		fmt.Println(err)
	}
	<-c.Quit()
	fmt.Println("again:", errors.Is(c.Start(), service.ErrAlreadyStopped))
	// Output:
	// tick
	// clock runs: true
	// silence
	// again: true
}
