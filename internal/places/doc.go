// Package places shares out the places of a listener among connections whose remotes have
// not proved yet who they are. A listener takes a place for each connection that it
// accepts, and the connection holds it until its handshake is over. One *Places can serve
// several listeners, which then share its limits.
//
// What it promises:
//
//   - No more connections hold a place than the limits allow, in total and for one host:
//     one IPv4 address, or one IPv6 /64.
//   - While places are free, a host below its limit gets one, whatever network it is in.
//   - When no place is free, the newcomer takes that of a connection that is no less crowded
//     than itself. Crowding compares the number of places of the IPv4 /16, then of the /24,
//     then of the address (IPv6 /32, /48, /64). The most crowded connection gives way, of
//     several the one that has sent nothing, and of those the oldest. At its own limit a
//     host can only take from itself.
//   - So whoever floods the listener from few networks keeps no other network out, however
//     much of a handshake its connections have gone through. A flood from as many networks
//     as there are places only limits the time that a handshake may take.
//   - A settled place is never taken: its handshake is over, and the connection only waits
//     for its turn. The newcomer is refused if all that could give way are less crowded than
//     itself.
//   - Where something else than their number limits the places, GiveWay frees one by the same
//     rule.
//   - Places for configured peers are apart. Nobody else takes them, and they are shared out
//     by the same rules.
//
// The cost of Take is linear in the number of places while none is free, and constant
// otherwise. It starts no goroutine and no timer: the holder of a place ends its handshake
// in time.
package places
