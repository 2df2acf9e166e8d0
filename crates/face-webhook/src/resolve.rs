//! Names of hosts to addresses: the server's own look-up, whose answers are checked before they
//! are used.
//!
//! Called by the client for every new connection; what comes out goes to
//! [`Guard::choose`](crate::guard::Guard::choose). The system's resolver would hand out a connection
//! or a name, not what was found, and keeps a thread for each question.
//!
//! Invariants: names are asked for as a whole, never below the domains of the server's own network;
//! an answer is believed for a minute at most, whatever it says of itself; what is found says
//! nothing of why nothing was.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;
use tracing::warn;

/// How long an answer is believed at most. A customer who moves an endpoint waits no longer.
const LONGEST_TTL: Duration = Duration::from_secs(60);
/// How long one name server is given.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many answers are remembered.
const CACHED: u64 = 4_096;

/// The addresses of a name; none: there are none, or they could not be found out.
pub type Found<'a> = Pin<Box<dyn Future<Output = Vec<IpAddr>> + Send + 'a>>;

/// Who looks names up.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The addresses of a name as [`Host::Name`](crate::guard::Host::Name) has it, in the order in
    /// which they are to be tried. The future may be dropped before it is over.
    fn resolve<'a>(&'a self, name: &'a str) -> Found<'a>;
}

/// Asks the name servers that the system is set to, after its file of hosts.
struct NameServers(TokioResolver);

impl fmt::Debug for NameServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameServers")
    }
}

/// Finds nothing.
#[derive(Debug)]
struct Nobody;

impl Resolve for Nobody {
    fn resolve<'a>(&'a self, _: &'a str) -> Found<'a> {
        Box::pin(std::future::ready(Vec::new()))
    }
}

/// Looks names up as the system's settings say (`/etc/resolv.conf`, read once). Where they cannot be used,
/// that is logged, and nothing is found.
#[must_use]
pub fn of_the_system() -> Arc<dyn Resolve> {
    match NameServers::of_the_system() {
        Ok(servers) => Arc::new(servers),
        Err(error) => {
            warn!(%error, "names of webhooks' hosts cannot be looked up on this host");
            Arc::new(Nobody)
        }
    }
}

impl NameServers {
    fn of_the_system() -> Result<Self, NetError> {
        let mut builder = TokioResolver::builder_tokio()?;
        let options = builder.options_mut();
        options.timeout = PATIENCE;
        options.cache_size = CACHED;
        options.positive_max_ttl = Some(LONGEST_TTL);
        options.negative_max_ttl = Some(LONGEST_TTL);
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        Ok(Self(builder.build()?))
    }
}

impl Resolve for NameServers {
    fn resolve<'a>(&'a self, name: &'a str) -> Found<'a> {
        Box::pin(async move {
            // The dot at the end keeps the resolver from trying its search domains.
            let found = self.0.lookup_ip(format!("{name}.")).await;
            found.map_or_else(|_| Vec::new(), |found| interleaved(found.iter()))
        })
    }
}

/// Addresses with the two families in turn, so that one that leads nowhere does not come first
/// sixteen times (RFC 8305 4).
fn interleaved(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let (sixes, fours): (Vec<_>, Vec<_>) = addresses.partition(IpAddr::is_ipv6);
    let mut mixed = Vec::with_capacity(sixes.len() + fours.len());
    let (mut sixes, mut fours) = (sixes.into_iter(), fours.into_iter());
    loop {
        let before = mixed.len();
        mixed.extend(sixes.next());
        mixed.extend(fours.next());
        if mixed.len() == before {
            return mixed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns_in_their_own_order() {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        let given = ["2.0.0.1", "2.0.0.2", "2.0.0.3", "2001:db8::1"].map(parse);
        let expected = ["2001:db8::1", "2.0.0.1", "2.0.0.2", "2.0.0.3"].map(parse);
        assert_eq!(interleaved(given.into_iter()), expected);
        assert!(interleaved(std::iter::empty()).is_empty());
    }
}
