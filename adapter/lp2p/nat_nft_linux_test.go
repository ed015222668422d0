package lp2p

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// masquerade makes a router with a NAT of this network namespace: what it forwards
// leaves with the address of the interface, only answers come in, and nothing is
// for the router itself. It speaks nf_tables over netlink, as the program nft does
// (linux/netfilter/nf_tables.h).
func masquerade() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return err
	}
	const table, accept, drop = "nat", 1, 0
	var batch nftBatch
	batch.add(unix.NFNL_MSG_BATCH_BEGIN, unix.AF_UNSPEC, 0, nil)
	batch.table(unix.NFT_MSG_NEWTABLE, nftString(unix.NFTA_TABLE_NAME, table))
	batch.table(unix.NFT_MSG_NEWCHAIN, nftChain(table, "postrouting", "nat", unix.NF_INET_POST_ROUTING, 100, accept))
	// An answer that is dropped leaves no entry that would take the port of a hole.
	batch.table(unix.NFT_MSG_NEWCHAIN, nftChain(table, "input", "filter", unix.NF_INET_LOCAL_IN, 0, drop))
	batch.table(unix.NFT_MSG_NEWRULE, nftString(unix.NFTA_RULE_TABLE, table),
		nftString(unix.NFTA_RULE_CHAIN, "postrouting"),
		nftNested(unix.NFTA_RULE_EXPRESSIONS, nftNested(unix.NFTA_LIST_ELEM,
			nftString(unix.NFTA_EXPR_NAME, "masq"), nftNested(unix.NFTA_EXPR_DATA))))
	batch.add(unix.NFNL_MSG_BATCH_END, unix.AF_UNSPEC, 0, nil)

	return batch.send()
}

func nftChain(table, name, kind string, hook, priority, policy uint32) []byte {
	return append(append(append(append(
		nftString(unix.NFTA_CHAIN_TABLE, table), nftString(unix.NFTA_CHAIN_NAME, name)...),
		nftNested(unix.NFTA_CHAIN_HOOK,
			nftNumber(unix.NFTA_HOOK_HOOKNUM, hook), nftNumber(unix.NFTA_HOOK_PRIORITY, priority))...),
		nftNumber(unix.NFTA_CHAIN_POLICY, policy)...),
		nftString(unix.NFTA_CHAIN_TYPE, kind)...)
}

// nftBatch is a transaction of netlink messages.
type nftBatch struct {
	messages []byte
	acks     int
}

// table adds a message about nf_tables for IPv4, which the kernel acknowledges.
func (b *nftBatch) table(kind uint16, attrs ...[]byte) {
	var body []byte
	for _, a := range attrs {
		body = append(body, a...)
	}
	b.acks++
	b.add(unix.NFNL_SUBSYS_NFTABLES<<8|kind, unix.NFPROTO_IPV4, unix.NLM_F_CREATE|unix.NLM_F_APPEND|unix.NLM_F_ACK, body)
}

func (b *nftBatch) add(kind uint16, family byte, flags uint16, body []byte) {
	h := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+4+len(body)))
	h = binary.NativeEndian.AppendUint16(h, kind)
	h = binary.NativeEndian.AppendUint16(h, unix.NLM_F_REQUEST|flags)
	h = binary.NativeEndian.AppendUint32(h, uint32(len(b.messages))) // any number
	h = binary.NativeEndian.AppendUint32(h, 0)
	h = append(h, family, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES)
	b.messages = append(append(b.messages, h...), body...)
}

// send commits the batch and returns the kernel's first error.
func (b *nftBatch) send() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return err
	}
	if err := unix.Sendto(fd, b.messages, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("nf_tables: %w", err)
	}
	buf := make([]byte, 1<<16)
	for acks := 0; acks < b.acks; {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return fmt.Errorf("nf_tables: %w", err)
		}
		for rest := buf[:n]; len(rest) >= unix.NLMSG_HDRLEN+4; acks++ {
			if binary.NativeEndian.Uint16(rest[4:]) != unix.NLMSG_ERROR {
				return errors.New("nf_tables: unexpected answer")
			}
			if errno := int32(binary.NativeEndian.Uint32(rest[unix.NLMSG_HDRLEN:])); errno != 0 {
				return fmt.Errorf("nf_tables: %w", unix.Errno(-errno))
			}
			rest = rest[min(len(rest), int(binary.NativeEndian.Uint32(rest)+3)&^3):]
		}
	}

	return nil
}

func nftAttr(kind uint16, value []byte) []byte {
	a := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	a = append(binary.NativeEndian.AppendUint16(a, kind), value...)

	return append(a, make([]byte, -len(a)&3)...)
}

func nftString(kind uint16, s string) []byte { return nftAttr(kind, append([]byte(s), 0)) }

func nftNumber(kind uint16, n uint32) []byte {
	return nftAttr(kind, binary.BigEndian.AppendUint32(nil, n))
}

func nftNested(kind uint16, attrs ...[]byte) []byte {
	var body []byte
	for _, a := range attrs {
		body = append(body, a...)
	}

	return nftAttr(kind|unix.NLA_F_NESTED, body)
}
