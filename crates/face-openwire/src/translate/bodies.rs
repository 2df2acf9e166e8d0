//! Bodies that are not stored as OpenWire has them, built once for each event however many consumers
//! it goes to.
//!
//! Called by [`super::message`], which needs nothing built for most events: what is stored goes into
//! the frame as it is. Built are texts with escapes or characters that frames spell otherwise, bytes
//! that are no text, and maps of properties.
//!
//! Invariants: what is kept is bounded by bytes, the oldest goes first; one body is built by one
//! consumer, and others that come meanwhile wait for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use outflow_hub::Delivery;
use outflow_model::{Offset, StreamId};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use crate::wire::Content;

/// What is kept at most, in bytes of stored events.
const MAX_BYTES: usize = 16 << 20;
/// What an event counts for besides its own bytes.
const ENTRY_BYTES: usize = 256;

/// What was built of one event.
#[derive(Debug, Clone, Default)]
pub(super) struct Built {
    /// The body, where it had to be built.
    pub(super) content: Option<Content>,
    /// Whether it is deflated.
    pub(super) deflated: bool,
    /// The properties.
    pub(super) properties: Option<Bytes>,
}

/// An event.
type Key = (StreamId, Offset);

/// See the module.
#[derive(Debug, Default)]
pub struct Bodies {
    kept: Mutex<Kept>,
    /// How many were built.
    built: Counter,
}

#[derive(Debug, Default)]
struct Kept {
    by_event: HashMap<Key, Arc<OnceLock<Built>>>,
    /// In the order of their coming, each with what it counts for.
    order: VecDeque<(Key, usize)>,
    bytes: usize,
}

impl Bodies {
    /// Keeps none yet. Counts what is built into `built`.
    #[must_use]
    pub fn new(built: Counter) -> Self {
        Self { kept: Mutex::default(), built }
    }

    /// What `build` makes of an event. Kept for others where `is_shared`: an event of a queue goes to
    /// one consumer.
    pub(super) fn get(
        &self,
        delivery: &Delivery,
        is_shared: bool,
        build: impl FnOnce() -> Built,
    ) -> Built {
        let build = || {
            self.built.inc();
            build()
        };
        if !is_shared {
            return build();
        }
        let event = &delivery.event;
        let weight = event.meta().line_len as usize + ENTRY_BYTES;
        let key = (delivery.stream.id, event.offset());
        let place = self.kept.lock().place(key, weight);
        place.get_or_init(build).clone()
    }
}

impl Kept {
    fn place(&mut self, key: Key, weight: usize) -> Arc<OnceLock<Built>> {
        if let Some(known) = self.by_event.get(&key) {
            return Arc::clone(known);
        }
        while self.bytes + weight > MAX_BYTES
            && let Some((oldest, weight)) = self.order.pop_front()
        {
            self.by_event.remove(&oldest);
            self.bytes -= weight;
        }
        self.bytes += weight;
        self.order.push_back((key, weight));
        Arc::clone(self.by_event.entry(key).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let mut kept = Kept::default();
        let key = |offset: usize| (StreamId(1), Offset::new(offset as u64));
        let first = kept.place(key(1), MAX_BYTES / 4);
        for offset in 2..=4 {
            kept.place(key(offset), MAX_BYTES / 4);
        }
        assert!(Arc::ptr_eq(&first, &kept.place(key(1), MAX_BYTES / 4)));
        kept.place(key(5), MAX_BYTES / 2);
        assert_eq!(kept.by_event.len(), 3);
        assert!(!kept.by_event.contains_key(&key(1)) && !kept.by_event.contains_key(&key(2)));
        assert_eq!(kept.bytes, MAX_BYTES);
        // One that alone is too large is kept until the next comes.
        kept.place(key(6), 2 * MAX_BYTES);
        assert_eq!((kept.by_event.len(), kept.order.len()), (1, 1));
        kept.place(key(7), 1);
        assert_eq!((kept.by_event.len(), kept.bytes), (1, 1));
    }
}
