//! Bytes on their way to the client.

use std::collections::VecDeque;

use crate::wire::{FrameWriter, Version};

/// Frames written but not yet taken by the socket. Knows where each begins when the transport sends
/// them one by one (WebSocket, reference `activemq.md` b3).
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// How many of `bytes` were taken.
    taken: usize,
    /// Where frames begin, in order, the first one excepted; `None` when nobody asks.
    starts: Option<VecDeque<usize>>,
    /// How much room the next frames will likely need.
    usual: usize,
}

/// What an empty outbox may keep of its memory.
const KEPT_BYTES: usize = 4 << 10;

impl Outbox {
    /// An empty outbox; `by_frame` when [`Outbox::next_frame`] will be used.
    #[must_use]
    pub fn new(by_frame: bool) -> Self {
        Self { starts: by_frame.then(Default::default), ..Self::default() }
    }

    /// Begins a frame.
    pub fn begin(&mut self, version: Version, command: &str) -> FrameWriter<'_> {
        self.mark();
        FrameWriter::begin(&mut self.bytes, version, command)
    }

    /// Appends a whole frame that was written before.
    pub(crate) fn frame(&mut self, frame: &[u8]) {
        self.mark();
        self.bytes.extend_from_slice(frame);
    }

    /// Appends whole frames that were written before; a transport that sends frame by frame must
    /// get them by [`Outbox::frame`].
    pub(crate) fn frames(&mut self, frames: &[u8]) {
        self.bytes.extend_from_slice(frames);
    }

    /// Whether frames have to be appended one by one.
    pub(crate) const fn is_by_frame(&self) -> bool {
        self.starts.is_some()
    }

    /// Appends a heart-beat (rule 8).
    pub(crate) fn beat(&mut self) {
        self.mark();
        self.bytes.push(b'\n');
    }

    fn mark(&mut self) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(self.usual);
        }
        let at = self.bytes.len();
        if let Some(starts) = &mut self.starts
            && at > self.taken
        {
            starts.push_back(at);
        }
    }

    /// The first frame that waits, whole.
    #[must_use]
    pub fn next_frame(&self) -> &[u8] {
        let end = self.starts.as_ref().and_then(|starts| starts.front().copied());
        self.bytes.get(self.taken..end.unwrap_or(self.bytes.len())).unwrap_or_default()
    }
}

impl outflow_broker::Outbox for Outbox {
    fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.taken)
    }

    fn waiting(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken < self.bytes.len() {
            let taken = self.taken;
            if let Some(starts) = &mut self.starts {
                while starts.front().is_some_and(|start| *start <= taken) {
                    starts.pop_front();
                }
            }
            return;
        }
        self.usual = (self.usual / 2).max(self.bytes.len());
        self.taken = 0;
        self.bytes.clear();
        if let Some(starts) = &mut self.starts {
            starts.clear();
        }
    }

    fn shrink(&mut self) {
        if self.is_empty() && self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
    }
}
