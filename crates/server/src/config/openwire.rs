//! Section `openwire`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::{Limits, TlsFiles};

/// Section `openwire`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct OpenWire {
    pub(crate) enabled: bool,
    pub(crate) listen: SocketAddr,
    pub(crate) allow_plaintext: bool,
    pub(crate) max_connections: usize,
    pub(crate) also_stomp: bool,
    broker_name: String,
    pub(crate) connect_timeout_ms: u64,
    inactivity_ms: u64,
    write_stall_ms: u64,
    frame_timeout_ms: u64,
    max_held_bytes: usize,
    max_frame_bytes: usize,
    all_durable: bool,
    pub(crate) tls: TlsFiles,
}

impl OpenWire {
    /// As the face has them.
    pub(crate) fn options(&self, limits: &Limits) -> outflow_face_openwire::Options {
        let defaults = outflow_face_openwire::Options::default();
        let max_frame_bytes = match self.max_frame_bytes {
            0 => outflow_face_openwire::frame_bytes(limits.max_event_bytes),
            set => set,
        };
        outflow_face_openwire::Options {
            limits: outflow_broker::Limits {
                connect_timeout: Duration::from_millis(self.connect_timeout_ms),
                write_stall: Duration::from_millis(self.write_stall_ms),
                frame_timeout: Duration::from_millis(self.frame_timeout_ms),
                held_bytes: self.max_held_bytes.max(2 * max_frame_bytes),
                room: limits.room(defaults.limits.room),
                all_durable: self.all_durable,
                ..defaults.limits
            },
            broker_name: self.broker_name.clone(),
            inactivity: Duration::from_millis(self.inactivity_ms),
            max_frame_bytes,
            ..defaults
        }
    }

    /// What breaks a rule.
    pub(super) fn check(&self, refuse: &mut impl FnMut(bool, String)) {
        let half = self.tls.is_half();
        let together = "openwire.tls: cert_file and key_file are given together or not at all";
        refuse(half, together.into());
        let bare = !self.listen.ip().is_loopback() && !self.tls.is_set() && !self.allow_plaintext;
        refuse(
            self.enabled && bare && !half,
            format!(
                "openwire.listen: {} is not a loopback address, and without TLS it would show \
                 passwords to the network: give openwire.tls.cert_file and key_file, or set \
                 openwire.allow_plaintext = true",
                self.listen
            ),
        );
        let name = &self.broker_name;
        let is_name = !name.is_empty() && name.len() <= 64 && name.bytes().all(is_in_names);
        refuse(
            !is_name,
            "openwire.broker_name: must be 1 to 64 letters, digits, `-`, `_` or `.`".into(),
        );
        for (key, value, low, high) in [
            ("openwire.max_connections", self.max_connections as u64, 1, 10_000_000),
            ("openwire.connect_timeout_ms", self.connect_timeout_ms, 100, 86_400_000),
            ("openwire.inactivity_ms", self.inactivity_ms, 0, 86_400_000),
            ("openwire.write_stall_ms", self.write_stall_ms, 100, 86_400_000),
            ("openwire.frame_timeout_ms", self.frame_timeout_ms, 100, 86_400_000),
            ("openwire.max_held_bytes", self.max_held_bytes as u64, 1 << 20, 64 << 30),
        ] {
            refuse(!(low..=high).contains(&value), format!("{key}: must be {low} to {high}"));
        }
        refuse(
            self.max_frame_bytes != 0 && !(4_096..=1 << 30).contains(&self.max_frame_bytes),
            format!("openwire.max_frame_bytes: must be 0, or 4096 to {}", 1 << 30),
        );
    }
}

const fn is_in_names(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}
