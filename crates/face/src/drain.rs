//! How a server goes away without cutting anyone off.
//!
//! Held by `server`, which moves the phase on at signals; watched by [`crate::listener`] and by
//! handlers that answer differently while draining.

use std::sync::Arc;

use tokio::sync::watch;

/// How far the going-away is. Phases only move forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Phase {
    /// Serving.
    #[default]
    Serving,
    /// New streams are sent elsewhere while live ones are being ended; the listener stays up,
    /// because a client that reconnects at once must not find the port closed.
    Draining,
    /// The listener is closed; requests under way are finished, idle connections closed.
    Stopping,
    /// Everything is cut now.
    Now,
}

/// The phase, shared. Clones are the same drain.
#[derive(Debug, Clone, Default)]
pub struct Drain(Arc<watch::Sender<Phase>>);

impl Drain {
    /// A drain in [`Phase::Serving`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves on to `phase`; does nothing when that is already past.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let forward = phase > *now;
            *now = phase.max(*now);
            forward
        });
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Resolves once the phase is `phase` or later.
    pub async fn reached(&self, phase: Phase) {
        let mut watch = self.0.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = watch.wait_for(|now| *now >= phase).await;
    }
}
