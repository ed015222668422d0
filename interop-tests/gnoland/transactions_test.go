package gnoland

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// The account that has coins in the genesis of a lazy start; its words are public.
const (
	account  = "test1"
	mnemonic = "source bonus chronic canvas draft south burst lottery vacant surface solve popular case indicate oppose farm nothing bullet exhibit title speed wink action roast"
	holder   = "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"
)

var (
	inBlock = regexp.MustCompile(`HEIGHT:\s+(\d+)`)
	hashOf  = regexp.MustCompile(`TX HASH:\s+(\S+)`)
)

// addKey puts the account into a key base.
func (net *network) addKey(t *testing.T) {
	t.Helper()
	command(t, nil, mnemonic+"\n\n\n", gnokey, "add", account, "--recover", "--home", net.keys, "--insecure-password-stdin=true")
}

// send makes a transaction with a memo through the node's RPC, by gnokey, and returns its
// block and hash.
func (n *node) send(t *testing.T, memo string) (height int, hash string) {
	t.Helper()
	text := command(t, nil, "\n", gnokey, "maketx", "send", "--send", "1ugnot", "--to", holder, "--memo", memo,
		"--gas-fee", "1000000ugnot", "--gas-wanted", "20000000", "--broadcast", "--chainid", chainID,
		"--remote", fmt.Sprintf("127.0.0.1:%d", n.rpc), "--home", n.net.keys, "--insecure-password-stdin=true", account)
	at, of := inBlock.FindStringSubmatch(text), hashOf.FindStringSubmatch(text)
	require.NotNil(t, at, text)
	require.NotNil(t, of, text)
	height, err := strconv.Atoi(at[1])
	require.NoError(t, err)

	return height, of[1]
}
