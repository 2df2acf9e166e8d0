//! Section `stomp`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::{Limits, TlsFiles};

/// Section `stomp`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Stomp {
    pub(crate) enabled: bool,
    pub(crate) listen: SocketAddr,
    pub(crate) allow_plaintext: bool,
    pub(crate) max_connections: usize,
    pub(crate) connect_timeout_ms: u64,
    pub(crate) min_heart_beat_ms: u64,
    write_stall_ms: u64,
    frame_timeout_ms: u64,
    max_held_bytes: usize,
    pub(crate) max_headers: usize,
    pub(crate) max_line_bytes: usize,
    pub(crate) prefetch: u32,
    all_durable: bool,
    pub(crate) text_rule: TextRule,
    pub(crate) populate_user_id: bool,
    origins: String,
    pub(crate) tls: TlsFiles,
}

/// How text and bytes are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TextRule {
    ContentType,
    ContentLength,
}

impl Stomp {
    /// The origins of pages that may connect by WebSocket; none: any.
    pub(crate) fn origins(&self) -> Vec<String> {
        let origins = self.origins.split(',').map(str::trim).filter(|one| !one.is_empty());
        origins.map(str::to_owned).collect()
    }

    /// What a session may cost.
    pub(crate) fn limits(&self, limits: &Limits) -> outflow_broker::Limits {
        let defaults = outflow_broker::Limits::default();
        outflow_broker::Limits {
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
            write_stall: Duration::from_millis(self.write_stall_ms),
            frame_timeout: Duration::from_millis(self.frame_timeout_ms),
            held_bytes: self.max_held_bytes.max(2 * limits.max_event_bytes),
            room: limits.room(defaults.room),
            all_durable: self.all_durable,
            ..defaults
        }
    }

    /// What breaks a rule.
    pub(super) fn check(&self, refuse: &mut impl FnMut(bool, String)) {
        let half = self.tls.is_half();
        refuse(half, "stomp.tls: cert_file and key_file are given together or not at all".into());
        let bare = !self.listen.ip().is_loopback() && !self.tls.is_set() && !self.allow_plaintext;
        refuse(
            self.enabled && bare && !half,
            format!(
                "stomp.listen: {} is not a loopback address, and without TLS it would show \
                 passwords to the network: give stomp.tls.cert_file and key_file, or set \
                 stomp.allow_plaintext = true",
                self.listen
            ),
        );
        for (key, value, low, high) in [
            ("stomp.max_connections", self.max_connections as u64, 1, 10_000_000),
            ("stomp.connect_timeout_ms", self.connect_timeout_ms, 100, 86_400_000),
            ("stomp.min_heart_beat_ms", self.min_heart_beat_ms, 10, 60_000),
            ("stomp.write_stall_ms", self.write_stall_ms, 100, 86_400_000),
            ("stomp.frame_timeout_ms", self.frame_timeout_ms, 100, 86_400_000),
            ("stomp.max_held_bytes", self.max_held_bytes as u64, 1 << 20, 64 << 30),
            ("stomp.max_headers", self.max_headers as u64, 10, 1_000),
            ("stomp.max_line_bytes", self.max_line_bytes as u64, 256, 65_536),
            ("stomp.prefetch", self.prefetch.into(), 1, 32_767),
        ] {
            refuse(!(low..=high).contains(&value), format!("{key}: must be {low} to {high}"));
        }
    }
}
