package importrules

// A pattern is the path of one package below the module path, or ends in "/..." and
// then means that package and all below it; "..." means every package.

// allowances lists for each package which other packages of this repository its code
// without tests may import. The longest pattern that fits a package decides, and a
// package that no pattern fits breaks the rules.
var allowances = []allowance{
	{of: "compat", may: []string{"compat/events", "compat/service", "compat/types", "internal/wire"},
		why: "the contract knows no implementation"},
	{of: "compat/events", may: []string{"compat/types"}, why: "events carry IDs and addresses only"},
	{of: "compat/service", why: "starting and stopping needs nothing else"},
	{of: "compat/types", may: []string{"internal/atomicfile", "internal/netgroup", "internal/wire"},
		why: "addresses and NodeInfos are encoded, keys are saved, and address ranges stand in one table"},
	{of: "compat/compattest/...", may: []string{"compat/...", "internal/freeport"},
		why: "a suite for any implementation knows the contract only, and needs ports"},

	{of: "secretconn", may: []string{"internal/..."}, why: "encryption knows no channels and no peers"},
	{of: "mconn", may: []string{"compat/...", "internal/..."}, why: "channels know no encryption and no switch"},

	{of: "adapter", may: []string{"compat/...", "internal/conduct", "internal/crowd", "internal/leeway", "internal/netgroup",
		"internal/summary", "internal/task"},
		why: "the switch works over any Transport, so it knows no stack, and it keeps no address book"},
	{of: "adapter/addrbook", may: []string{"compat", "compat/types", "internal/atomicfile", "internal/netgroup", "internal/task"},
		why: "the book keeps facts about addresses; those who use it decide"},
	{of: "adapter/config", may: []string{"adapter", "compat/types", "internal/ownaddr", "internal/tomlvalue", "mconn"},
		why: "a configuration becomes options of the switch and of connections"},
	{of: "adapter/pex", may: []string{"adapter/addrbook", "compat/...", "internal/..."},
		why: "peer exchange is a reactor over any switch"},
	{of: "adapter/internal/...", may: []string{"adapter", "compat/...", "internal/..."},
		why: "what both stacks share knows neither"},
	{of: "adapter/native", may: []string{"adapter/addrbook", "adapter/internal/guard", "adapter/internal/peer",
		"compat/...", "internal/...", "mconn", "secretconn"}, why: "a stack knows neither the other one nor the switch"},
	{of: "adapter/lp2p", may: []string{"adapter/addrbook", "adapter/internal/guard", "adapter/internal/peer",
		"adapter/lp2p/internal/...", "compat/...", "internal/..."}, why: "a stack knows neither the other one nor the switch"},
	{of: "adapter/lp2p/internal/...", may: []string{"adapter/addrbook", "adapter/lp2p/internal/...", "compat/...", "internal/..."},
		why: "parts of the libp2p stack do not know the whole"},
	{of: "adapter/lp2p/discovery", may: []string{"adapter/addrbook", "adapter/lp2p", "adapter/lp2p/internal/...",
		"compat/...", "internal/..."}, why: "discovery is a reactor over the libp2p stack"},

	{of: "adapter/dual", may: []string{"adapter/addrbook", "adapter/lp2p", "adapter/native", "compat/...", "internal/...",
		"mconn"}, why: "it joins the two stacks, which do not know each other"},

	{of: "bridge/tunnel", may: []string{"adapter/lp2p", "adapter/native", "compat/...", "internal/...", "mconn"},
		why: "it passes on what it cannot read"},
	{of: "bridge", may: []string{"adapter/addrbook", "adapter/lp2p", "adapter/lp2p/discovery", "adapter/native", "bridge/tunnel",
		"compat/...", "internal/...", "mconn"}, why: "the bridge joins connections of the two stacks without a switch"},
	{of: "bridge/bridgehttp", may: []string{"bridge", "bridge/tunnel", "compat", "compat/types"}, why: "it shows the status of a bridge and knows no stack"},

	{of: "internal/...", may: []string{"internal/..."}, why: "the ground floor knows nothing above it"},
	{of: "internal/bothstacks", may: []string{"compat", "internal/task"}, why: "it joins transports as the contract knows them"},
	{of: "internal/conduct", may: []string{"compat", "compat/types", "internal/netgroup", "internal/summary"}, why: "it keeps IDs and refuses as the contract does"},
	{of: "internal/dialnames", may: []string{"compat", "compat/types"},
		why: "it judges failed dials as the contract does"},
	{of: "internal/flow", may: []string{"compat"}, why: "rates are told as the contract's FlowStatus"},
	{of: "internal/sniff", may: []string{"internal/socket"}, why: "it looks at bytes only, on a connection that stays a socket"},
	{of: "internal/tomlvalue", may: []string{"compat/types", "internal/..."},
		why: "values of configuration files are addresses and IDs"},

	{of: "cmd/...", may: []string{"..."}, why: "programs stand on top"},
	{of: "dropin", may: []string{"adapter/...", "bridge/tunnel", "compat/...", "internal/...", "mconn"},
		why: "it converts between gno's types and ours, and a node takes part in tunnels"},
	{of: "dropin/cmd/...", may: []string{"adapter/config", "dropin/cmd/..."},
		why: "a program that changes gno's source needs neither gno nor a stack to be compiled first"},
	{of: "interop-tests/...", may: []string{"..."}, why: "tests of the whole use all of it"},
}

// reaches lists what only some packages may depend on, directly or through others.
var reaches = []reach{
	{what: "cmd/...", by: []string{"cmd/..."}, why: "nobody imports a program"},
	{what: "adapter/native", by: []string{"adapter/dual", "adapter/native", "bridge/...", "cmd/...", "dropin", "interop-tests/..."},
		why: "the switch, discovery and the libp2p stack work without the native stack"},
	{what: "adapter/lp2p", by: []string{"adapter/dual", "adapter/lp2p", "adapter/lp2p/discovery", "bridge/...", "cmd/...", "dropin",
		"interop-tests/..."}, why: "the switch and the native stack work without the libp2p stack"},
	{what: "github.com/libp2p/...", by: []string{"adapter/dual", "adapter/lp2p/...", "bridge/...", "cmd/...", "dropin",
		"interop-tests/..."}, why: "a program on the native stack contains no libp2p"},
	{what: "github.com/gnolang/...", by: []string{"dropin", "interop-tests/..."},
		why: "the library does not depend on gno"},
}
