//! Section `ingest`: the door of upstream systems.

use serde::Deserialize;

/// Section `ingest`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Ingest {
    pub(crate) max_payload_bytes: usize,
    pub(crate) requests_per_second: u32,
    pub(crate) held_payload_bytes: usize,
    pub(crate) commit_timeout_ms: u64,
}

impl Ingest {
    /// Says to `refuse` what is wrong, if events have at most `max_event` bytes.
    pub(super) fn check(&self, max_event: usize, refuse: &mut impl FnMut(bool, String)) {
        let payload = 1..=max_event;
        refuse(
            !payload.contains(&self.max_payload_bytes),
            format!("ingest.max_payload_bytes: must be 1 to limits.max_event_bytes, {max_event}"),
        );
        let rate = 1..=10_000_000;
        refuse(
            !rate.contains(&self.requests_per_second),
            "ingest.requests_per_second: must be 1 to 10000000".into(),
        );
        let least = self.max_payload_bytes;
        refuse(
            self.held_payload_bytes < least,
            format!(
                "ingest.held_payload_bytes: must be ingest.max_payload_bytes, {least}, or more"
            ),
        );
        let timeout = 100..=600_000;
        refuse(
            !timeout.contains(&self.commit_timeout_ms),
            "ingest.commit_timeout_ms: must be 100 to 600000".into(),
        );
    }
}
