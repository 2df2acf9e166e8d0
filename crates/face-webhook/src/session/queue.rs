//! The events of an endpoint that are in no batch: a queue for each lane.
//!
//! Held by [`Lanes`](super::lane::Lanes), which says which lanes are in a batch.
//!
//! Invariants: a lane's events stand in the order of their offsets; what stands behind a batch of its lane
//! costs nothing when the next batch is looked for, however much it is.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};

use outflow_model::{Offset, Timestamp};

use super::Held;

/// See the module.
#[derive(Debug)]
pub(super) struct Queues<E> {
    /// The events of each lane that has any, with the time at which they came.
    lanes: HashMap<u64, VecDeque<(Timestamp, E)>>,
    /// The first event of each lane that is in no batch.
    free: BTreeSet<(Offset, u64)>,
}

impl<E> Default for Queues<E> {
    fn default() -> Self {
        Self { lanes: HashMap::new(), free: BTreeSet::new() }
    }
}

impl<E: Held> Queues<E> {
    /// An event has come at `now`; `is_free`: its lane is in no batch.
    pub(super) fn push(&mut self, lane: u64, is_free: bool, now: Timestamp, event: E) {
        let offset = event.offset();
        let queue = self.lanes.entry(lane).or_default();
        let first = queue.front().map(|(_, first)| first.offset());
        // Nearly always the end: the hub hands events out in order.
        let at = match queue.back() {
            Some((_, last)) if last.offset() > offset => {
                queue.partition_point(|(_, other)| other.offset() < offset)
            }
            _ => queue.len(),
        };
        queue.insert(at, (now, event));
        if is_free && at == 0 {
            first.map(|first| self.free.remove(&(first, lane)));
            self.free.insert((offset, lane));
        }
    }

    /// A lane is in a batch.
    pub(super) fn block(&mut self, lane: u64) {
        if let Some(first) = self.first_of(lane) {
            self.free.remove(&(first, lane));
        }
    }

    /// A lane is in a batch no more.
    pub(super) fn release(&mut self, lane: u64) {
        if let Some(first) = self.first_of(lane) {
            self.free.insert((first, lane));
        }
    }

    fn first_of(&self, lane: u64) -> Option<Offset> {
        Some(self.lanes.get(&lane)?.front()?.1.offset())
    }

    /// When the first event came whose lane is free.
    pub(super) fn came(&self) -> Option<Timestamp> {
        let (_, lane) = self.free.first()?;
        Some(self.lanes.get(lane)?.front()?.0)
    }

    /// The first event whose lane is free.
    pub(super) fn first_offset(&self) -> Option<Offset> {
        self.free.first().map(|(first, _)| *first)
    }

    /// How many events of the lane that comes first stand before this one.
    pub(super) fn count_before(&self, offset: Offset) -> usize {
        let first = self.free.first().and_then(|(_, lane)| self.lanes.get(lane));
        first.map_or(0, |queue| queue.partition_point(|(_, event)| event.offset() < offset))
    }

    /// The lanes of the first `max` events whose lanes are free, and of no more than have `max_bytes`
    /// bytes of lines, but for one; in order. Says whether that is all there may be.
    pub(super) fn first(&self, max: usize, max_bytes: usize) -> (Vec<u64>, bool) {
        let (mut chosen, mut bytes) = (Vec::new(), 0_usize);
        if let (Some((_, lane)), 1) = (self.free.first(), self.free.len()) {
            // Nearly always: an endpoint in order has one lane.
            for (_, event) in self.lanes.get(lane).into_iter().flatten().take(max) {
                bytes = bytes.saturating_add(event.bytes());
                if !chosen.is_empty() && bytes > max_bytes {
                    return (chosen, true);
                }
                chosen.push(*lane);
            }
            let is_full = chosen.len() >= max;
            return (chosen, is_full);
        }
        // No lane has one of the first `max` events whose own first is not one of the first `max`.
        let mut next: BTreeSet<(Offset, u64, usize)> =
            self.free.iter().take(max).map(|(first, lane)| (*first, *lane, 0)).collect();
        while let Some((_, lane, at)) = next.pop_first() {
            let Some(queue) = self.lanes.get(&lane) else { continue };
            let Some((_, event)) = queue.get(at) else { continue };
            bytes = bytes.saturating_add(event.bytes());
            if !chosen.is_empty() && bytes > max_bytes {
                return (chosen, true);
            }
            chosen.push(lane);
            if chosen.len() >= max {
                return (chosen, true);
            }
            next.extend(queue.get(at + 1).map(|(_, event)| (event.offset(), lane, at + 1)));
        }
        (chosen, false)
    }

    /// Takes out an event of each of these lanes, one after another, which are in a batch from now on.
    pub(super) fn take(&mut self, lanes: &[u64]) -> Vec<E> {
        let mut events = Vec::with_capacity(lanes.len());
        for run in lanes.chunk_by(|one, next| one == next) {
            let Some(&lane) = run.first() else { continue };
            self.block(lane);
            if let Entry::Occupied(mut queue) = self.lanes.entry(lane) {
                let count = run.len().min(queue.get().len());
                events.extend(queue.get_mut().drain(..count).map(|(_, event)| event));
                if queue.get().is_empty() {
                    queue.remove();
                }
            }
        }
        events
    }

    /// Takes out all.
    pub(super) fn drain(&mut self) -> Vec<E> {
        let all = std::mem::take(self).lanes.into_values().flatten();
        all.map(|(_, event)| event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::lane::One;
    use super::*;

    fn queues(events: &[(u64, u64)]) -> Queues<One> {
        let mut queues = Queues::default();
        for (lane, offset) in events {
            queues.push(*lane, true, Timestamp::default(), One(*offset));
        }
        queues
    }

    fn offsets(events: &[One]) -> Vec<u64> {
        events.iter().map(|one| one.0).collect()
    }

    #[test]
    fn what_is_taken_is_what_came_first_of_the_lanes_that_are_free() {
        let mut queues = queues(&[(1, 1), (1, 2), (2, 3), (1, 4), (3, 5), (2, 6), (2, 7)]);
        queues.block(1);
        assert_eq!(queues.first(3, 1_000), (vec![2, 3, 2], true));
        assert_eq!(queues.first(9, 1_000), (vec![2, 3, 2, 2], false));
        assert_eq!(queues.first(9, 25), (vec![2, 3], true), "bytes");
        assert_eq!(queues.first(9, 1), (vec![2], true), "one always");
        assert_eq!(offsets(&queues.take(&[2, 3, 2])), [3, 5, 6]);
        queues.release(1);
        assert_eq!(queues.first(9, 1_000), (vec![1, 1, 1], false), "2 and 3 are in a batch");
        queues.release(2);
        assert_eq!(queues.first(9, 1_000).0, [1, 1, 1, 2]);
        assert_eq!(queues.drain().len(), 4);
        assert_eq!((queues.came(), queues.first(9, 9)), (None, (Vec::new(), false)));
    }

    #[test]
    fn what_comes_late_stands_where_it_belongs() {
        let mut queues = queues(&[(1, 5), (1, 9), (1, 3), (1, 7)]);
        assert_eq!(offsets(&queues.take(&[1, 1, 1, 1])), [3, 5, 7, 9]);
    }

    #[test]
    fn what_stands_behind_a_batch_costs_no_look() {
        let many: Vec<(u64, u64)> = (0..100_000).map(|offset| (1, offset)).collect();
        let mut queues = queues(&many);
        queues.block(1);
        queues.push(2, true, Timestamp::default(), One(100_000));
        assert_eq!((queues.free.len(), queues.first(100, 1_000)), (1, (vec![2], false)));
    }
}
