//! Commands on their way to the client, as bytes.

use bytes::{Buf, BytesMut};

use crate::wire::{Command, EncodeError, Encoder, WireFormat};

/// Frames written but not yet taken by the socket.
#[derive(Debug)]
pub struct Outbox {
    encoder: Encoder,
    bytes: BytesMut,
    /// How many bytes waited at most since there were none.
    most: usize,
    /// The same the time before: as many most likely come again, and are not moved as they do.
    usual: usize,
}

/// The most room that is made at once.
const ROOM_BYTES: usize = 256 << 10;

/// What an empty outbox may keep of its memory.
const KEPT_BYTES: usize = 4 << 10;

impl Outbox {
    /// An empty outbox, for what every connection begins with.
    #[must_use]
    pub fn new(max_frame_bytes: u64) -> Self {
        let encoder = Encoder::new(WireFormat::initial(max_frame_bytes));
        Self { encoder, bytes: BytesMut::new(), most: 0, usual: 0 }
    }

    /// From the next command on the client is written to so.
    pub(crate) fn speak(&mut self, format: WireFormat) {
        self.encoder.speak(format);
    }

    /// Appends a command, unless it has no form on the wire.
    ///
    /// # Errors
    /// [`EncodeError`], when nothing was written.
    pub(crate) fn try_send(&mut self, command: &Command) -> Result<(), EncodeError> {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(self.usual);
        }
        let outcome = self.encoder.encode(command, &mut self.bytes);
        self.most = self.most.max(self.bytes.len());
        outcome
    }

    /// Appends a command that the server made itself, which has a form on the wire.
    pub(crate) fn send(&mut self, command: &Command) {
        if let Err(error) = self.try_send(command) {
            tracing::error!(%error, "a command of the server's own could not be written");
        }
    }
}

impl outflow_broker::Outbox for Outbox {
    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn waiting(&self) -> &[u8] {
        &self.bytes
    }

    fn take(&mut self, count: usize) {
        self.bytes.advance(count.min(self.bytes.len()));
    }

    fn shrink(&mut self) {
        if self.bytes.is_empty() {
            self.encoder.shrink();
            self.usual = std::mem::take(&mut self.most).min(ROOM_BYTES);
            // What was taken out counts for no capacity, and is held all the same.
            if self.usual > KEPT_BYTES || self.bytes.capacity() > KEPT_BYTES {
                self.bytes = BytesMut::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use outflow_broker::Outbox as _;

    use super::*;
    use crate::wire::{ControlCommand, VERSION_MAX};

    #[test]
    fn an_outbox_that_was_emptied_holds_no_more_than_a_little() {
        let mut outbox = Outbox::new(1 << 20);
        outbox.speak(WireFormat { version: VERSION_MAX, ..WireFormat::initial(1 << 20) });
        let text = Some("x".repeat(1_000).into());
        let command =
            Command::ControlCommand(ControlCommand { command: text, ..ControlCommand::default() });
        for round in 0..3 {
            for _ in 0..130 {
                outbox.send(&command);
            }
            let len = outbox.len();
            outbox.take(len);
            outbox.shrink();
            assert_eq!(outbox.bytes.capacity(), 0, "round {round}");
            assert_eq!(outbox.usual, len);
        }
        outbox.send(&command);
        assert!(outbox.bytes.capacity() > 130_000, "room for as many again");
    }
}
