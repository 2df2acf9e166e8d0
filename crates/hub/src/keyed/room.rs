//! What the states of entities take in memory, over all keyed streams.
//!
//! Called by [`KeyedDraft::gather`](super::publish::KeyedDraft::gather), in its stream's turn. A stream
//! that was written lately keeps its states; when all together keep too many, those of the streams that were
//! not written for the longest time go. What is on its way to the disk is no cache, and counted with
//! all else that is on its way.
//!
//! Invariant: the states of a stream go only while nobody has its turn.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use outflow_model::StreamId;
use parking_lot::Mutex;

use crate::stream::Lane;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Room {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    /// When a stream last said what it keeps, as a number that grows.
    seats: HashMap<StreamId, u64>,
    lanes: BTreeMap<u64, (StreamId, Weak<Lane>, usize)>,
    next: u64,
}

impl Room {
    /// A stream keeps so many bytes now: others go if that is too much. Gives what all keep then.
    pub(crate) fn note(&self, id: StreamId, lane: &Arc<Lane>, bytes: usize, max: usize) -> usize {
        let mut held = self.held.lock();
        held.leave(id);
        held.sit(id, Arc::downgrade(lane), bytes);
        let oldest_first: Vec<u64> =
            if held.bytes > max { held.lanes.keys().copied().collect() } else { Vec::new() };
        for seat in oldest_first {
            if held.bytes <= max {
                break;
            }
            let Some((other, lane, _)) = held.lanes.get(&seat) else { continue };
            let (other, lane) = (*other, lane.upgrade());
            let gone = lane.is_none_or(|lane| {
                // Whoever has the turn relies on what is there, this stream's publisher too.
                let turn = lane.keyed.turn.try_lock();
                turn.map(|_turn| lane.keyed.table.lock().clear()).is_ok()
            });
            if gone {
                held.leave(other);
            }
        }
        held.bytes
    }
}

impl Held {
    fn sit(&mut self, id: StreamId, lane: Weak<Lane>, bytes: usize) {
        let seat = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.seats.insert(id, seat);
        self.lanes.insert(seat, (id, lane, bytes));
    }

    fn leave(&mut self, id: StreamId) {
        let left = self.seats.remove(&id).and_then(|seat| self.lanes.remove(&seat));
        self.bytes -= left.map_or(0, |(_, _, bytes)| bytes);
    }
}
