//! What this face keeps of a subscription.

use super::Session;
use crate::translate::wish::{AckMode, Ask};
use crate::wire::{FrameWriter, Version};

/// See the module.
#[derive(Debug)]
pub(super) struct Own {
    /// The client's id; `None` only in 1.0.
    id: Option<String>,
    /// The destination, as the client spelt it.
    pub(super) destination: String,
    pub(super) mode: AckMode,
    /// The header lines that all its messages have.
    pub(super) lines: Vec<u8>,
}

impl Own {
    pub(super) fn new(ask: &Ask, version: Version) -> Self {
        let mut lines = Vec::new();
        if let Some(id) = &ask.id {
            // Only the header lines are wanted of it.
            FrameWriter::resume(&mut lines, version).header("subscription", id);
        }
        let (id, destination) = (ask.id.clone(), ask.destination.clone());
        Self { id, destination, mode: ask.mode, lines }
    }

    /// Whether it is what a client calls by this id.
    pub(super) fn is_called(&self, id: &str) -> bool {
        self.id.as_deref() == Some(id)
    }
}

impl Session {
    /// The number of the subscription with this id, or, in 1.0, of this destination (rule 13).
    pub(super) fn find_subscription(
        &self,
        id: Option<&str>,
        destination: Option<&str>,
    ) -> Option<u32> {
        let is_it = |own: &Own| match id {
            Some(id) => own.is_called(id),
            None => own.id.is_none() && Some(own.destination.as_str()) == destination,
        };
        self.subscriptions.iter().find(|(_, one)| is_it(&one.own)).map(|(number, _)| number)
    }
}
