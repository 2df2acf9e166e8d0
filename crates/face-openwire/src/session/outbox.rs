//! Commands on their way to the client, as bytes.

use bytes::{Buf, BytesMut};

use crate::wire::{Command, EncodeError, Encoder, WireFormat};

/// Frames written but not yet taken by the socket.
#[derive(Debug)]
pub struct Outbox {
    encoder: Encoder,
    bytes: BytesMut,
}

/// What an empty outbox may keep of its memory.
const KEPT_BYTES: usize = 4 << 10;

impl Outbox {
    /// An empty outbox, for what every connection begins with.
    #[must_use]
    pub fn new(max_frame_bytes: u64) -> Self {
        let encoder = Encoder::new(WireFormat::initial(max_frame_bytes));
        Self { encoder, bytes: BytesMut::new() }
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
        self.encoder.encode(command, &mut self.bytes)
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
            if self.bytes.capacity() > KEPT_BYTES {
                self.bytes = BytesMut::new();
            }
        }
    }
}
