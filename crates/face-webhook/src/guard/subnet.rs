//! A range of addresses that share their first bits.
//!
//! Written by operators (`10.1.0.0/16`, `fd00::/8`, `10.1.2.3`); the table in
//! [`address`](super::address) is made of them.
//!
//! Invariant: an IPv4 address inside an IPv6 one (`::ffff:a.b.c.d`) is that IPv4 address, in subnets
//! and in what they are asked; no IPv6 subnet has IPv4 addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses. See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subnet {
    /// Of IPv4.
    V4 {
        /// The first address.
        first: Ipv4Addr,
        /// How many bits its addresses share: 0 to 32.
        length: u8,
    },
    /// Of IPv6.
    V6 {
        /// The first address.
        first: Ipv6Addr,
        /// How many bits its addresses share: 0 to 128.
        length: u8,
    },
}

/// A text that is no subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    /// The part before the slash.
    #[error("must be an address, or an address, a slash and a length")]
    Address,
    /// The part behind it.
    #[error("the length behind the slash must be 0 to 32, or 128 with IPv6")]
    Length,
    /// The address has bits that the length leaves out: one of the two was not meant.
    #[error("the address has bits behind the length")]
    Bits,
}

impl Subnet {
    /// Of IPv4; for tables.
    #[must_use]
    pub const fn v4(first: [u8; 4], length: u8) -> Self {
        let [a, b, c, d] = first;
        Self::V4 { first: Ipv4Addr::new(a, b, c, d), length }
    }

    /// Of IPv6, by its first four groups; for tables.
    #[must_use]
    pub const fn v6(groups: [u16; 4], length: u8) -> Self {
        let [a, b, c, d] = groups;
        Self::V6 { first: Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length }
    }

    /// Whether the address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self, address.to_canonical()) {
            (Self::V4 { first, length }, IpAddr::V4(address)) => {
                let differs = first.to_bits() ^ address.to_bits();
                u32::from(*length) <= differs.leading_zeros()
            }
            (Self::V6 { first, length }, IpAddr::V6(address)) => {
                let differs = first.to_bits() ^ address.to_bits();
                u32::from(*length) <= differs.leading_zeros()
            }
            (Self::V4 { .. }, IpAddr::V6(_)) | (Self::V6 { .. }, IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.parse().map_err(|_| SubnetError::Address)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length: u8 = match length {
            None => bits,
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().ok().filter(|length| *length <= bits).ok_or(SubnetError::Length)?
            }
            Some(_) => return Err(SubnetError::Length),
        };
        let left_out = |zeros: u32| zeros + u32::from(length) < u32::from(bits);
        let has_rest = match address {
            IpAddr::V4(first) => left_out(first.to_bits().trailing_zeros()),
            IpAddr::V6(first) => left_out(first.to_bits().trailing_zeros()),
        };
        if has_rest {
            return Err(SubnetError::Bits);
        }
        Ok(match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(first)) => {
                let length = length.checked_sub(96).ok_or(SubnetError::Length)?;
                Self::V4 { first, length }
            }
            (_, IpAddr::V4(first)) => Self::V4 { first, length },
            (_, IpAddr::V6(first)) => Self::V6 { first, length },
        })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4 { first, length } => write!(f, "{first}/{length}"),
            Self::V6 { first, length } => write!(f, "{first}/{length}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(subnet: &str, address: &str) -> bool {
        subnet.parse::<Subnet>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn the_first_and_the_last_are_in_and_their_neighbours_are_not() {
        for (subnet, first, last, before, after) in [
            ("10.0.0.0/8", "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0"),
            ("172.16.0.0/12", "172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0"),
            ("10.1.2.3", "10.1.2.3", "::ffff:10.1.2.3", "10.1.2.2", "10.1.2.4"),
            ("fc00::/7", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fbff::", "fe00::"),
            ("::ffff:10.0.0.0/104", "10.0.0.0", "10.255.255.255", "9.0.0.0", "::10.0.0.0"),
        ] {
            assert!(has(subnet, first) && has(subnet, last), "{subnet}");
            assert!(!has(subnet, before) && !has(subnet, after), "{subnet}");
        }
        assert!(has("0.0.0.0/0", "8.8.8.8") && has("::/0", "2600::"));
        assert!(!has("::/0", "10.0.0.1") && !has("::/0", "::ffff:10.0.0.1"));
        assert!(!has("0.0.0.0/0", "2600::"));
    }

    #[test]
    fn a_slip_is_not_taken_for_a_subnet() {
        let parse = |text: &str| text.parse::<Subnet>();
        for bad in ["", "/8", "10.0.0/8", "10.0.0.0.0", "host", "10.0.0.0 /8", "fe80::1%eth0"] {
            assert_eq!(parse(bad), Err(SubnetError::Address), "{bad}");
        }
        for bad in
            ["10.0.0.0/", "10.0.0.0/33", "10.0.0.0/+8", "::/129", "10.0.0.0/8/8", "::ffff:0:0/95"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("10.0.0.1/8"), Err(SubnetError::Bits));
        assert_eq!(parse("fd00::1/8"), Err(SubnetError::Bits));
        assert_eq!(parse("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
    }
}
