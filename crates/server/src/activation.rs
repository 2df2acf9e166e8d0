//! Listening sockets that a service manager hands over (systemd's `sd_listen_fds`): while no
//! server runs, the manager's socket keeps callers waiting, so that a restart refuses none.
//!
//! Collected by `serve::prepare` before there are other threads, for it changes the environment;
//! taken by `wiring` in place of binding. A socket is for the listener that its name says
//! (`FileDescriptorName=`); where no name is a listener's, they come in the order of [`LISTENERS`].

use std::net::TcpListener;

use listenfd::ListenFd;

use crate::config::{Config, ConfigError};

/// The listeners by name.
const LISTENERS: [&str; 4] = ["http", "admin", "stomp", "openwire"];

/// The sockets handed over that were not taken yet, by the name of their listener.
#[derive(Debug, Default)]
pub(crate) struct Handed(Vec<(&'static str, TcpListener)>);

impl Handed {
    /// Takes over what the environment's `LISTEN_FDS` announces, if it is meant for this process.
    ///
    /// # Errors
    /// [`ConfigError`] names a socket that is for no listener, for the same as another, or not of
    /// TCP.
    pub(crate) fn collect() -> Result<Self, ConfigError> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut sockets = ListenFd::from_env();
        let wrong = |text: String| ConfigError(vec![format!("LISTEN_FDS: {text}")]);
        let mut handed = Self::default();
        for (index, name) in listeners(&names, sockets.len()).into_iter().enumerate() {
            let name = name.map_err(wrong)?;
            let socket = sockets.take_tcp_listener(index);
            let socket = socket.map_err(|error| wrong(format!("socket {index}: {error}")))?;
            handed.0.extend(socket.map(|socket| (name, socket)));
        }
        Ok(handed)
    }

    /// Puts the sockets' addresses in place of the configured ones, so that the rules for
    /// addresses hold for them.
    ///
    /// # Errors
    /// [`ConfigError`] when one breaks a rule.
    pub(crate) fn apply(&self, config: &mut Config) -> Result<(), ConfigError> {
        for (name, socket) in &self.0 {
            let Ok(address) = socket.local_addr() else { continue };
            match *name {
                "http" => config.http.listen = address,
                "admin" => config.admin.listen = address,
                "stomp" => config.stomp.listen = address,
                "openwire" => config.openwire.listen = address,
                _ => {}
            }
        }
        config.check()
    }

    /// The socket for a listener, if one was handed over.
    pub(crate) fn take(&mut self, listener: &str) -> Option<TcpListener> {
        let at = self.0.iter().position(|(name, _)| *name == listener)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// The listener of each of `count` sockets, whose names are joined by colons.
fn listeners(names: &str, count: usize) -> Vec<Result<&'static str, String>> {
    let known = |name: &str| LISTENERS.into_iter().find(|known| *known == name);
    let by_name = names.split(':').any(|name| known(name).is_some());
    let mut names = names.split(':');
    let mut seen = Vec::new();
    let of = |index: usize| {
        let listener = if by_name {
            let name = names.next().unwrap_or_default();
            known(name)
                .ok_or_else(|| format!("socket {index} is named `{name}`, which is no listener"))
        } else {
            let none = || format!("socket {index} is one more than there are listeners");
            LISTENERS.get(index).copied().ok_or_else(none)
        }?;
        if seen.contains(&listener) {
            return Err(format!("two sockets are named `{listener}`"));
        }
        seen.push(listener);
        Ok(listener)
    };
    (0..count).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_told_apart_by_name_or_by_order() {
        let given =
            |names, count| listeners(names, count).into_iter().collect::<Result<Vec<_>, _>>();
        assert_eq!(given("", 0).unwrap(), [""; 0]);
        assert_eq!(given("", 2).unwrap(), ["http", "admin"]);
        assert_eq!(given("outflow.socket:outflow.socket", 2).unwrap(), ["http", "admin"]);
        assert_eq!(given("stomp:http", 2).unwrap(), ["stomp", "http"]);
        assert!(given("http:htp", 2).unwrap_err().contains("`htp`"));
        assert!(given("http:http", 2).unwrap_err().contains("two sockets"));
        assert!(given("", 5).unwrap_err().contains("one more"));
    }
}
