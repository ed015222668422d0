package gnoland

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var client = &http.Client{Timeout: 10 * time.Second}

// call asks the node's RPC and decodes the result.
func (n *node) call(path string, result any) error {
	response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/%s", n.rpc, path))
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it was read
	var envelope struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.NewDecoder(response.Body).Decode(&envelope); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(envelope.Error) > 0 {
		return fmt.Errorf("%s: %s", path, envelope.Error)
	}

	return json.Unmarshal(envelope.Result, result)
}

// block is what agreement is checked on.
type block struct {
	Meta struct {
		ID struct {
			Hash string `json:"hash"`
		} `json:"block_id"`
		Header struct {
			Height  string    `json:"height"`
			AppHash string    `json:"app_hash"`
			Time    time.Time `json:"time"`
		} `json:"header"`
	} `json:"block_meta"`
	Block struct {
		Data struct {
			Txs []string `json:"txs"`
		} `json:"data"`
		LastCommit struct {
			Precommits []*struct {
				Address string `json:"validator_address"`
			} `json:"precommits"`
		} `json:"last_commit"`
	} `json:"block"`
}

func (n *node) block(t *testing.T, height int) (b block) {
	t.Helper()
	require.NoError(t, n.call(fmt.Sprintf("block?height=%d", height), &b))
	require.NotEmpty(t, b.Meta.ID.Hash)

	return b
}

// has reports whether the block has a transaction, by the hash that gnokey shows.
func (b block) has(t *testing.T, hash string) bool {
	t.Helper()

	return slices.ContainsFunc(b.Block.Data.Txs, func(text string) bool {
		tx, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		sum := sha256.Sum256(tx)

		return base64.StdEncoding.EncodeToString(sum[:]) == hash
	})
}

// peer is what net_info tells.
type peer struct {
	NodeInfo struct {
		NetAddress string `json:"net_address"`
		Moniker    string `json:"moniker"`
		Network    string `json:"network"`
		Version    string `json:"version"`
	} `json:"node_info"`
	IsOutbound bool   `json:"is_outbound"`
	RemoteIP   string `json:"remote_ip"`
}

// peers returns the node's peers by their monikers.
func (n *node) peers(t *testing.T) map[string]peer {
	t.Helper()
	var info struct {
		Peers []peer `json:"peers"`
	}
	if err := n.call("net_info", &info); err != nil {
		return nil
	}
	peers := make(map[string]peer)
	for _, p := range info.Peers {
		peers[p.NodeInfo.Moniker] = p
	}

	return peers
}
