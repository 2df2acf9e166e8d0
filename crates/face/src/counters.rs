//! What listeners count. Written by `listener` and `guard`, read by `server` for its metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// One count.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// The count now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The counts of one listener, or of several that share it.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: Count,
    /// Connections open now.
    pub open: Count,
    /// Failures of `accept` that made the listener pause, such as no free descriptors.
    pub accept_errors: Count,
    /// TLS handshakes that failed or took too long.
    pub tls_failures: Count,
    /// Connections cut because a request's head did not arrive in time.
    pub slow_heads: Count,
    /// Connections cut, and streams of HTTP/2 reset, because the peer accepted no bytes for too long.
    pub stalled_writes: Count,
}
