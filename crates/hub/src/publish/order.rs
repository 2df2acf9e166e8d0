//! Where the next event of a stream goes, and which events of a draft are copies.
//!
//! Called by [`super`] and by whoever queues batches of its own, under the stream's lock.

use std::collections::BTreeMap;
use std::fmt;

use outflow_model::{Draft, Meta, Offset, StreamId, Timestamp};
use outflow_store::Op;

use super::{Placed, Receipt};
use crate::Dedup;
use crate::dedup::senders::Number;
use crate::dedup::{Flight, Seen, Window};

/// What a stream's lock guards: where the next event goes.
#[derive(Default)]
pub(crate) struct Order {
    /// Whether `next` and `last` were taken from the engine.
    pub(super) primed: bool,
    pub(super) next: Offset,
    pub(super) last: Timestamp,
    pub(super) window: Window,
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Order {{ next: {} }}", self.next)
    }
}

impl Order {
    /// The offset above all that were given out, for what was queued behind by the same lock.
    pub(crate) fn end(&self, committed: Offset) -> Offset {
        self.next.max(committed)
    }

    /// Whether offsets can be given out, and copies recognised where they are to be.
    pub(crate) const fn is_ready(&self, dedup: Option<Dedup>) -> bool {
        self.primed && (dedup.is_none() || self.window.loaded)
    }

    /// The batches that hold the first ones of the draft's copies and are not decided yet.
    pub(crate) fn copies_on_their_way(&self, draft: &Draft) -> Vec<Flight> {
        let mut start = 0;
        let copies = draft.metas().iter().enumerate().filter_map(|(at, meta)| {
            let line = draft.lines().get(start..).unwrap_or_default();
            start += meta.line_len as usize;
            self.seen(draft, at, &meta, line)
        });
        let known: BTreeMap<Offset, Flight> =
            copies.filter_map(|offset| self.window.flight(offset)).collect();
        known.into_values().collect()
    }

    /// Where an event of the draft, whose line `line` begins with, was seen before.
    fn seen(&self, draft: &Draft, at: usize, meta: &Meta, line: &[u8]) -> Option<Offset> {
        if !draft.has_own_id(at) {
            return None;
        }
        self.window.seen_at(meta.identity()).or_else(|| {
            let number = Number::of(meta, line).filter(|_| draft.may_be_again(at))?;
            self.window.senders.seen(number)
        })
    }

    /// What stores how far the senders have come, for who trims what tells of it.
    pub(crate) fn store_senders(&mut self, stream: StreamId) -> Option<Op> {
        let next = self.next;
        self.window.senders.store(stream, next)
    }

    /// Lets go of the window where nothing came for long. Gives what is to be stored of it.
    pub(crate) fn rest(
        &mut self,
        stream: StreamId,
        dedup: Option<Dedup>,
        now: Timestamp,
    ) -> Option<Op> {
        if !self.window.is_resting(dedup, now) {
            return None;
        }
        let senders = self.store_senders(stream);
        self.window = Window::default();
        senders
    }

    /// Forgets the window: the way copies are recognised has changed.
    pub(crate) fn reset_window(&mut self) {
        self.window.reset();
    }
}

/// The receipt of `count` new events from `first`.
pub(super) fn consecutive(first: Offset, count: usize) -> Receipt {
    let place = |n| Placed { offset: first.plus(n), duplicate: false };
    Receipt { events: (0..count as u64).map(place).collect() }
}

/// Removes copies from the draft; the rest will have consecutive offsets from `first`.
pub(super) fn weed(
    window: &mut Window,
    draft: &mut Draft,
    dedup: Dedup,
    first: Offset,
    now: Timestamp,
) -> (Receipt, Vec<Flight>) {
    window.expire(dedup, now);
    let (mut events, mut fresh) = (Vec::with_capacity(draft.len()), first);
    let (mut copies, mut start) = (0, 0);
    for (index, meta) in draft.metas().iter().enumerate() {
        let line = draft.lines().get(start..).unwrap_or_default();
        start += meta.line_len as usize;
        let number = Number::of(&meta, line);
        let again = number.filter(|_| draft.may_be_again(index));
        let seen = match again.and_then(|number| window.senders.seen(number)) {
            Some(newest) => Seen::Before(window.seen_at(meta.identity()).unwrap_or(newest)),
            None if draft.has_own_id(index) => window.see(meta.identity(), fresh, now),
            None => Seen::New,
        };
        let placed = match seen {
            Seen::New => {
                number.into_iter().for_each(|number| window.senders.send(number, fresh));
                Placed { offset: fresh, duplicate: false }
            }
            Seen::Before(offset) => Placed { offset, duplicate: true },
        };
        copies += usize::from(placed.duplicate);
        fresh = if placed.duplicate { fresh } else { fresh.next() };
        events.push(placed);
    }
    let mut flights = Vec::new();
    if copies > 0 {
        draft.remove(|index| events.get(index).is_some_and(|event: &Placed| event.duplicate));
        let mut known = Vec::new();
        for event in events.iter().filter(|event| event.duplicate) {
            if let Some((of, flight)) = window.flight(event.offset)
                && !known.contains(&of)
            {
                known.push(of);
                flights.push(flight);
            }
        }
    }
    (Receipt { events }, flights)
}
