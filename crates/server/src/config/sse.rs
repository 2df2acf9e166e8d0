//! Section `sse` of the configuration.

use std::time::Duration;

use outflow_face_sse::{Expired, Options};
use serde::Deserialize;

/// Section `sse`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Sse {
    pub(crate) heartbeat_ms: u64,
    pub(crate) retry_ms: u64,
    pub(crate) expired: ExpiredWord,
    pub(crate) url_token_s: u64,
}

/// How a place that is not kept is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExpiredWord {
    Gone,
    Oldest,
}

impl Sse {
    pub(crate) fn check(&self, refuse: &mut impl FnMut(bool, String)) {
        for (key, value, least, most) in [
            ("heartbeat_ms", self.heartbeat_ms, 100, 300_000),
            // With 0 some clients would connect again without a pause.
            ("retry_ms", self.retry_ms, 100, 600_000),
            ("url_token_s", self.url_token_s, 0, 86_400),
        ] {
            let is_within = (least..=most).contains(&value);
            refuse(!is_within, format!("sse.{key}: must be {least} to {most}"));
        }
    }

    /// What the face is told.
    pub(crate) fn options(&self) -> Options {
        Options {
            heartbeat: Duration::from_millis(self.heartbeat_ms),
            retry: Duration::from_millis(self.retry_ms),
            expired: match self.expired {
                ExpiredWord::Gone => Expired::Gone,
                ExpiredWord::Oldest => Expired::Oldest,
            },
            url_token: Duration::from_secs(self.url_token_s),
            ..Options::default()
        }
    }
}
