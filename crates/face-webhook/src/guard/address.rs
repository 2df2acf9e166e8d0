//! What an address is, by the registries of special addresses (RFC 6890 and its heirs), and what clouds
//! put elsewhere.
//!
//! Reference `trust_ux.md` 1.3, SSRF rule 3. Of IPv6, only `2000::/3` was ever given out, so everything
//! outside is denied by that alone; the classes are for the log of whoever operates the server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Subnet;

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Of the public internet.
    Public,
    /// This host, or none: `0.0.0.0/8`, `::`.
    Unspecified,
    /// This host.
    Loopback,
    /// A network of one's own: RFC 1918, RFC 4193, and the site-local addresses of old.
    Private,
    /// Behind a carrier's NAT; some clouds' metadata too.
    Shared,
    /// Of one link, metadata services among them.
    LinkLocal,
    /// Given to a protocol.
    Protocol,
    /// For documents.
    Documentation,
    /// For benchmarks.
    Benchmark,
    /// Many hosts.
    Multicast,
    /// All hosts of a link.
    Broadcast,
    /// Never given out.
    Reserved,
    /// A service inside a cloud at a public address.
    Cloud,
    /// Carries an IPv4 address, or leads through a tunnel.
    Tunnel,
}

/// The first row that has an address counts.
const V4: [(Subnet, Class); 17] = [
    (Subnet::v4([0, 0, 0, 0], 8), Class::Unspecified),
    (Subnet::v4([10, 0, 0, 0], 8), Class::Private),
    (Subnet::v4([100, 64, 0, 0], 10), Class::Shared),
    (Subnet::v4([127, 0, 0, 0], 8), Class::Loopback),
    // Azure's wire server.
    (Subnet::v4([168, 63, 129, 16], 32), Class::Cloud),
    (Subnet::v4([169, 254, 0, 0], 16), Class::LinkLocal),
    (Subnet::v4([172, 16, 0, 0], 12), Class::Private),
    (Subnet::v4([192, 0, 0, 0], 24), Class::Protocol),
    (Subnet::v4([192, 0, 2, 0], 24), Class::Documentation),
    // Relays to 6to4.
    (Subnet::v4([192, 88, 99, 0], 24), Class::Tunnel),
    (Subnet::v4([192, 168, 0, 0], 16), Class::Private),
    (Subnet::v4([198, 18, 0, 0], 15), Class::Benchmark),
    (Subnet::v4([198, 51, 100, 0], 24), Class::Documentation),
    (Subnet::v4([203, 0, 113, 0], 24), Class::Documentation),
    (Subnet::v4([224, 0, 0, 0], 4), Class::Multicast),
    (Subnet::v4([255, 255, 255, 255], 32), Class::Broadcast),
    (Subnet::v4([240, 0, 0, 0], 4), Class::Reserved),
];

/// The first row that has an address counts; the last one has all that were never given out.
const V6: [(Subnet, Class); 17] = [
    (Subnet::V6 { first: Ipv6Addr::UNSPECIFIED, length: 128 }, Class::Unspecified),
    (Subnet::V6 { first: Ipv6Addr::LOCALHOST, length: 128 }, Class::Loopback),
    // IPv4-compatible.
    (Subnet::v6([0, 0, 0, 0], 96), Class::Tunnel),
    // NAT64, and NAT64 of one's own.
    (Subnet::v6([0x64, 0xFF9B, 0, 0], 96), Class::Tunnel),
    (Subnet::v6([0x64, 0xFF9B, 1, 0], 48), Class::Tunnel),
    // Discarded.
    (Subnet::v6([0x100, 0, 0, 0], 64), Class::Reserved),
    // Teredo, then everything else that belongs to protocols.
    (Subnet::v6([0x2001, 0, 0, 0], 32), Class::Tunnel),
    (Subnet::v6([0x2001, 0, 0, 0], 23), Class::Protocol),
    (Subnet::v6([0x2001, 0xDB8, 0, 0], 32), Class::Documentation),
    // 6to4.
    (Subnet::v6([0x2002, 0, 0, 0], 16), Class::Tunnel),
    (Subnet::v6([0x3FFF, 0, 0, 0], 20), Class::Documentation),
    (Subnet::v6([0xFC00, 0, 0, 0], 7), Class::Private),
    (Subnet::v6([0xFE80, 0, 0, 0], 10), Class::LinkLocal),
    (Subnet::v6([0xFEC0, 0, 0, 0], 10), Class::Private),
    (Subnet::v6([0xFF00, 0, 0, 0], 8), Class::Multicast),
    (Subnet::v6([0x2000, 0, 0, 0], 3), Class::Public),
    (Subnet::v6([0, 0, 0, 0], 0), Class::Reserved),
];

/// What an address is. An IPv4 address written as an IPv6 one is what it is as itself.
#[must_use]
pub fn classify(address: IpAddr) -> Class {
    let address = address.to_canonical();
    let rows: &[(Subnet, Class)] = if address.is_ipv4() { &V4 } else { &V6 };
    let found = rows.iter().find(|(subnet, _)| subnet.contains(address));
    match (found, address) {
        (Some((_, Class::Public)), IpAddr::V6(v6)) if is_isatap(v6) => Class::Tunnel,
        (Some((_, class)), _) => *class,
        (None, _) => Class::Public,
    }
}

/// The IPv4 address that packets to this one may end at, where it is known how to read it: one
/// that is allowed to be sent to must not lead to another that is not. NAT64 of one's own has no
/// fixed form; who allows it answers for what stands behind it.
#[must_use]
pub fn inside(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address.to_canonical() else { return None };
    let bits = v6.to_bits();
    let last = Ipv4Addr::from_bits(bits as u32);
    let is_plain = !v6.is_loopback() && !v6.is_unspecified();
    match (bits >> 32, bits >> 96, bits >> 112) {
        (0, ..) if is_plain => Some(last),
        (NAT64, ..) => Some(last),
        (.., 0x2002) => Some(Ipv4Addr::from_bits((bits >> 80) as u32)),
        // Teredo hides it behind ones.
        (_, 0x2001_0000, _) => Some(Ipv4Addr::from_bits(!bits as u32)),
        _ if is_isatap(v6) => Some(last),
        _ => None,
    }
}

/// What all addresses of NAT64 begin with (RFC 6052 2.1).
const NAT64: u128 = 0x0064_FF9B_0000_0000_0000_0000;

/// RFC 5214: an interface that is an IPv4 address, under whatever prefix.
fn is_isatap(address: Ipv6Addr) -> bool {
    let [.., e, f, _, _] = address.segments();
    matches!((e, f), (0 | 0x200, 0x5EFE))
}
