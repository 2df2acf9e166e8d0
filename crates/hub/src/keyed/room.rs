//! What the states of entities take in memory, over all keyed streams.
//!
//! Called by [`KeyedDraft::gather`](super::publish::KeyedDraft::gather), in its stream's turn, and when
//! a stream was deleted. A stream that was written lately keeps its states; when all together keep too
//! many, those of the streams that were not written for the longest time go. What is on its way to the disk is no cache, and counted with
//! all else that is on its way.
//!
//! Invariant: the states of a stream go only while nobody has its turn.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
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
    ///
    /// It looks at as many streams as have to go, and at those that are being written at this moment:
    /// never at all that there are.
    pub(crate) fn note(&self, id: StreamId, lane: &Arc<Lane>, bytes: usize, max: usize) -> usize {
        let mut held = self.held.lock();
        held.leave(id);
        // Whoever deletes the stream has it forgotten after it was marked.
        if !lane.deleted.load(Ordering::Acquire) {
            held.sit(id, Arc::downgrade(lane), bytes);
        }
        let mut from = 0;
        while held.bytes > max {
            let Some((&seat, (other, lane, _))) = held.lanes.range(from..).next() else { break };
            from = seat + 1;
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

    /// A stream is no more. Gives what the others keep.
    pub(crate) fn forget(&self, id: StreamId) -> usize {
        let mut held = self.held.lock();
        held.leave(id);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_not_written_for_the_longest_time_go_but_for_those_being_written() {
        let room = Room::default();
        let lanes: Vec<_> = (0..6).map(|n| (StreamId(n), Lane::new(StreamId(n)))).collect();
        for (id, lane) in &lanes[..4] {
            lane.keyed.table.lock().keep("k".into(), Some("state".into()));
            assert_eq!(room.note(*id, lane, 10, 100), (id.0 as usize + 1) * 10);
        }
        let keeps = |at: usize| lanes[at].1.keyed.table.lock().bytes() > 0;
        let busy = lanes[0].1.keyed.turn.try_lock().unwrap();
        assert_eq!(room.note(lanes[4].0, &lanes[4].1, 10, 30), 30);
        assert_eq!([0, 1, 2, 3].map(keeps), [true, false, false, true]);
        drop(busy);
        assert_eq!(room.forget(lanes[3].0), 20);
        assert_eq!(room.note(lanes[5].0, &lanes[5].1, 10, 20), 20);
        assert!(!keeps(0));
        // What is noted of a stream after its end is not counted.
        lanes[5].1.deleted.store(true, Ordering::Release);
        assert_eq!(room.note(lanes[5].0, &lanes[5].1, 10, 20), 10);
    }
}
