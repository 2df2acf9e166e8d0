//! Whom requests may be sent to: the one place that decides.
//!
//! A tenant writes URLs that the server fetches from where it stands, so each of them may be aimed at
//! what stands beside it. The rules are those of reference `trust_ux.md` 1.3 ("SSRF"):
//! [`endpoint`] parses a URL once, [`address`] says what an address is, [`subnet`] is what an
//! operator allows.
//!
//! Called when an endpoint is configured, for its URL; when its name was resolved, for every address
//! ([`Guard::choose`]); and at connecting, for the one that is connected to ([`Guard::check`]): what is
//! connected to is an address that was checked, never a name, so nothing that a resolver
//! says later counts.
//!
//! Invariants: an address is denied unless it is known to be public or an operator allowed it, and then
//! so is the one inside it; the server's own doors are denied to all; a denial tells a tenant nothing.

pub mod address;
pub mod endpoint;
pub mod subnet;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

pub use address::Class;
pub use endpoint::{Endpoint, Host, UrlError};
pub use subnet::{Subnet, SubnetError};

/// The most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 16;
/// What a name that means this host stands for.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What operators set. The default allows HTTPS to any port of public addresses.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Addresses that are allowed although they are not public.
    pub allow: Vec<Subnet>,
    /// Where the server itself listens.
    pub own: Vec<SocketAddr>,
    /// The ports that are allowed; empty: all.
    pub ports: Vec<RangeInclusive<u16>>,
    /// Whether `http://` is allowed: for trying out.
    pub plain: bool,
}

/// An address that may not be reached. Its text is for tenants and says nothing; the class is for
/// the log of the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// What it is; `None`: the server's own, or there was none.
    pub class: Option<Class>,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address may not be reached")
    }
}

impl std::error::Error for Denied {}

impl Guard {
    /// Parses a URL and checks what can be known of it before its name is resolved.
    ///
    /// # Errors
    /// [`UrlError`], for whoever configures the endpoint.
    pub fn endpoint(&self, url: &str) -> Result<Endpoint, UrlError> {
        let endpoint = Endpoint::parse(url)?;
        if !endpoint.is_tls() && !self.plain {
            return Err(UrlError::Scheme);
        }
        let port = endpoint.port();
        if !self.ports.is_empty() && !self.ports.iter().any(|range| range.contains(&port)) {
            return Err(UrlError::Port { port });
        }
        let address = match endpoint.host() {
            Host::Address(address) => Some(*address),
            Host::Name(name) if endpoint::is_local(name) => Some(LOOPBACK),
            Host::Name(_) => None,
        };
        let denied = address.and_then(|address| self.check((address, port).into()).err());
        if denied.is_some() {
            return Err(UrlError::Address);
        }
        if endpoint::is_as_sent(url, &endpoint) { Ok(endpoint) } else { Err(UrlError::Turned) }
    }

    /// As [`Guard::endpoint`], of a URL that is set now. One that was set before it had to be written so is sent to as it
    /// always was.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn new_endpoint(&self, url: &str) -> Result<Endpoint, UrlError> {
        let endpoint = self.endpoint(url)?;
        if endpoint::has_dots(url) { Err(UrlError::Dots) } else { Ok(endpoint) }
    }

    /// The addresses of a name that may be connected to, in order.
    ///
    /// # Errors
    /// [`Denied`]: there is none.
    pub fn choose(
        &self,
        addresses: impl IntoIterator<Item = IpAddr>,
        port: u16,
    ) -> Result<Vec<SocketAddr>, Denied> {
        let mut denied = Denied { class: None };
        let mut chosen = Vec::new();
        for address in addresses {
            match self.check((address, port).into()) {
                Ok(()) => chosen.push((address, port).into()),
                Err(error) => denied = error,
            }
            if chosen.len() == MAX_ADDRESSES {
                break;
            }
        }
        if chosen.is_empty() { Err(denied) } else { Ok(chosen) }
    }

    /// Whether an address may be connected to.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn check(&self, to: SocketAddr) -> Result<(), Denied> {
        let address = to.ip().to_canonical();
        let is_own = |own: &SocketAddr| {
            let ip = own.ip().to_canonical();
            own.port() == to.port() && (ip == address || (ip.is_unspecified() && is_here(address)))
        };
        if self.own.iter().any(is_own) {
            return Err(Denied { class: None });
        }
        self.admits(address).map_err(|class| Denied { class: Some(class) })
    }

    /// Whether the address, and the one inside it, is public or allowed; else what it is.
    fn admits(&self, address: IpAddr) -> Result<(), Class> {
        let class = address::classify(address);
        let is_allowed = self.allow.iter().any(|subnet| subnet.contains(address));
        if class != Class::Public && !is_allowed {
            return Err(class);
        }
        match address::inside(address) {
            Some(inside) => self.admits(IpAddr::V4(inside)),
            None => Ok(()),
        }
    }
}

/// Whether an address is one of this host's: then what is sent to it is sent from it. Nothing is sent to
/// find out, and it is asked only where the port is one of the server's own.
fn is_here(address: IpAddr) -> bool {
    if address.is_loopback() || address.is_unspecified() {
        return true;
    }
    let any = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let from = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((address, 9))?;
        socket.local_addr()
    };
    // Where there is no way to it, nobody is reached.
    from().is_ok_and(|from| from.ip().to_canonical() == address)
}
