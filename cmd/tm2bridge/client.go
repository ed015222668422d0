package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
)

const (
	clientTimeout = 10 * time.Second
	// maxAnswer bounds an answer of the bridge, in bytes: 1000 pairs have less.
	maxAnswer = 16 << 20
)

// client asks a running bridge over its HTTP port.
type client struct {
	base  string // http://host:port
	home  string
	asked http.Client
}

// addClient adds the flags that newClient reads.
func addClient(cmd *cobra.Command) {
	addHome(cmd)
	cmd.Flags().String("url", "", "where the bridge answers, http://host:port (default: [http].laddr of the home)")
}

// newClient returns a client for the running bridge of a home.
func newClient(cmd *cobra.Command) (*client, error) {
	home, err := homeOf(cmd)
	if err != nil {
		return nil, err
	}
	c := &client{home: home, asked: http.Client{Timeout: clientTimeout}}
	if c.base, err = cmd.Flags().GetString("url"); err != nil || c.base != "" {
		c.base = strings.TrimSuffix(c.base, "/")

		return c, err
	}
	overrides, err := overridesOf(cmd)
	if err != nil {
		return nil, err
	}
	cfg, _, err := loadConfig(home, overrides)
	if err != nil {
		return nil, err
	}
	if c.base, err = baseURL(cfg.HTTP.ListenAddress); err != nil {
		return nil, cli.WithStatus(exitConfig, err)
	}

	return c, nil
}

// baseURL returns the URL of a listen address, on the loopback interface if it is unspecified.
func baseURL(listen string) (string, error) {
	host, port, err := net.SplitHostPort(strings.TrimPrefix(listen, "tcp://"))
	switch {
	case listen == "":
		return "", errors.New("[http].laddr is empty, so that the bridge cannot be asked; give --url if it runs with another one")
	case err != nil:
		return "", fmt.Errorf("[http].laddr: %w", err)
	case port == "0":
		return "", errors.New("[http].laddr has port 0: give --url with the address that tm2bridge start has printed")
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}

	return "http://" + net.JoinHostPort(host, port), nil
}

// report asks for the status.
func (c *client) report(ctx context.Context) (*bridgehttp.Report, []byte, error) {
	data, err := c.do(ctx, http.MethodGet, "/status", nil)
	if err != nil {
		return nil, nil, err
	}
	var report bridgehttp.Report
	if err := json.Unmarshal(data, &report); err != nil {
		return nil, nil, fmt.Errorf("%s: what answers is no bridge: %w", c.base, err)
	}
	if report.Schema != bridgehttp.Schema {
		return nil, nil, fmt.Errorf("%s: the bridge answers schema %d, this program reads %d: use the program of the bridge's version",
			c.base, report.Schema, bridgehttp.Schema)
	}

	return &report, data, nil
}

// control asks for a change and returns what the bridge says about it.
func (c *client) control(ctx context.Context, action string, req bridgehttp.Request) (string, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return "", err
	}
	data, err := c.do(ctx, http.MethodPost, "/control/"+action, body)
	if err != nil {
		return "", err
	}
	var answer bridgehttp.Answer
	if err := json.Unmarshal(data, &answer); err != nil {
		return "", fmt.Errorf("%s: what answers is no bridge: %w", c.base, err)
	}
	if !answer.OK {
		return "", errors.New(answer.Error)
	}

	return answer.Text, nil
}

func (c *client) do(ctx context.Context, method, path string, body []byte) (data []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		token, err := config.ReadToken(c.home)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: --home has to be that of the running bridge, or has to have a copy of its %s", err, config.TokenFileName)
		}
		if err != nil {
			return nil, cli.WithStatus(exitConfig, err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.asked.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the bridge does not answer, does it run? %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if data, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return nil, err
	}
	if resp.Header.Get("Content-Type") != "application/json" {
		return nil, fmt.Errorf("%s answers %s: %.200s", c.base, resp.Status, data)
	}

	return data, nil
}
