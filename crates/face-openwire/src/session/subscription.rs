//! What this face keeps of a consumer.

use tokio::time::Instant;

use crate::translate::wish::Ask;
use crate::wire::{ConsumerId, Destination};

/// See the module.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) id: ConsumerId,
    /// The destination as the client has it.
    pub(super) destination: Destination,
    /// Messages sent and not acked at once; 0: only when pulled.
    pub(super) prefetch: u32,
    /// The message it has asked for.
    pub(super) pull: Option<Pull>,
}

/// A message asked for, and until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pull {
    /// `None`: for ever.
    pub(super) until: Option<Instant>,
}

impl Own {
    pub(super) fn new(ask: Ask, prefetch: u32) -> Self {
        Self { id: ask.id, destination: ask.destination, prefetch, pull: None }
    }
}
