//! The addresses of the listeners: each is one's own.

use std::net::SocketAddr;

use super::Config;

impl Config {
    /// The listeners that are opened, and where.
    fn listeners(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        let sections = [
            ("http", self.http.listen, true),
            ("admin", self.admin.listen, true),
            ("stomp", self.stomp.listen, self.stomp.enabled),
            ("openwire", self.openwire.listen, self.openwire.enabled),
        ];
        let opened = sections.into_iter().filter(|(_, _, is_opened)| *is_opened);
        opened.map(|(name, address, _)| (name, address))
    }

    /// Says to `refuse` which listeners stand in one another's way.
    pub(super) fn check_listeners(&self, refuse: &mut impl FnMut(bool, String)) {
        let all: Vec<_> = self.listeners().collect();
        for (at, (name, address)) in all.iter().enumerate() {
            let taken = all.iter().take(at).find(|(_, other)| collide(*address, *other));
            if let Some((other, taken)) = taken {
                refuse(
                    true,
                    format!(
                        "{name}.listen: {address} cannot be shared with {other}.listen, {taken}"
                    ),
                );
            }
        }
    }
}

/// Whether at most one of the two can be listened on. Port 0 is a free one; an address that stands
/// for all of its family takes the port of each.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let (here, there) = (one.ip(), other.ip());
    let is_all = here.is_unspecified() || there.is_unspecified();
    one.port() != 0
        && one.port() == other.port()
        && (here == there || is_all && here.is_ipv4() == there.is_ipv4())
}
