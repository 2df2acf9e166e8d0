//! How far the senders have come whose events are numbered: what a client sends again after a cut is
//! recognised by its number, however many events of others came between.
//!
//! Held by the stream's [`Window`](super::Window), under the stream's lock. An event is numbered when
//! its face says so ([`Draft::number_last`](outflow_model::Draft::number_last)): its id is its sender's
//! name, a colon and a number that grows with each event of the sender. ActiveMQ keeps the last
//! number of each producer for the same end (reference `activemq.md` a5, Duplicate sends).
//!
//! What is on the disk is as of some offset: the numbers of the events from there on are in the log.
//! It is stored with the event that would leave more than [`SPAN`] offsets to be read, and before
//! any of them are trimmed.
//!
//! Invariants: a number counts as seen when it lies between two that were stored with nothing known
//! to be lost between them, so that no event is taken for a copy which was never stored; at most
//! [`MAX_SENDERS`] are remembered, of which those go first that sent nothing for longest.

use std::collections::HashMap;

use bytes::{Buf, BufMut, Bytes};
use outflow_model::{Meta, Offset, StreamId, subset};
use outflow_store::{Condition, Op, Put};

/// How many are remembered for each stream, of about 80 bytes each.
pub(crate) const MAX_SENDERS: usize = 1_000;
/// How many offsets behind the stored form may have numbered events.
pub(crate) const SPAN: u64 = 1_024;
/// Where they are stored.
const SENDERS: &[u8] = b"senders/";
const VERSION: u8 = 1;

/// Whose event it is, by hash of its name and its credential, and which of its.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) sender: u128,
    pub(crate) number: i64,
}

impl Number {
    /// That of an event; `None`: it is not numbered.
    pub(crate) fn of(meta: &Meta, line: &[u8]) -> Option<Self> {
        let of = u128::from(meta.sender()?);
        let id = std::str::from_utf8(meta.id(line)).ok()?;
        let (sender, number) = id.rsplit_once(':')?;
        let sender = subset::id_hash(sender.as_bytes()) ^ of;
        Some(Self { sender, number: number.parse().ok()? })
    }
}

/// What is known of a sender: that all its events with these numbers were stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    first: i64,
    last: i64,
    /// Where the last one is.
    at: Offset,
    /// Whether the next one goes on from the last.
    is_open: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Senders {
    marks: HashMap<u128, Mark>,
    /// What is stored is as of here.
    stored: Offset,
    /// Whether what is stored may count events that were not.
    is_stale: bool,
    /// Whether what is on the disk is known.
    pub(crate) is_loaded: bool,
}

impl Senders {
    /// Where the sender's newest event is, when the one of this number was stored.
    pub(crate) fn seen(&self, one: Number) -> Option<Offset> {
        let mark = self.marks.get(&one.sender)?;
        (mark.first..=mark.last).contains(&one.number).then_some(mark.at)
    }

    /// Takes down an event that is new.
    pub(crate) fn send(&mut self, Number { sender, number }: Number, at: Offset) {
        let mark = self.marks.entry(sender).or_insert(Mark {
            first: number,
            last: number,
            at,
            is_open: true,
        });
        // One whose numbers fall has begun anew.
        if !mark.is_open || number < mark.last {
            (mark.first, mark.is_open) = (number, true);
        }
        (mark.last, mark.at) = (number, at);
        if self.marks.len() > MAX_SENDERS {
            self.forget_oldest();
        }
    }

    /// Forgets a tenth of them: the ones that sent nothing for longest.
    fn forget_oldest(&mut self) {
        let mut all: Vec<Offset> = self.marks.values().map(|mark| mark.at).collect();
        let (_, oldest, _) = all.select_nth_unstable(MAX_SENDERS / 10);
        let oldest = *oldest;
        self.marks.retain(|_, mark| mark.at > oldest);
    }

    /// Events from `first` on were not stored, nobody knows whose: what was said since does not hold.
    pub(super) fn lose(&mut self, first: Offset) {
        self.marks.retain(|_, mark| mark.at < first);
        self.is_stale = true;
    }

    /// Events are missing in the log, nobody knows whose: what comes does not go on from what was.
    pub(crate) fn interrupt(&mut self) {
        self.marks.values_mut().for_each(|mark| mark.is_open = false);
    }

    /// What has to be stored with the events before `next`, if so.
    pub(crate) fn due(&mut self, stream: StreamId, next: Offset) -> Option<Op> {
        let is_due = next.get().saturating_sub(self.stored.get()) > SPAN;
        if is_due || self.is_stale { self.store(stream, next) } else { None }
    }

    /// What stores them as of `next`; `None`: nothing has changed.
    pub(crate) fn store(&mut self, stream: StreamId, next: Offset) -> Option<Op> {
        let is_known = next == self.stored && !self.is_stale;
        if self.marks.is_empty() && !self.is_stale || !self.is_loaded || is_known {
            return None;
        }
        (self.stored, self.is_stale) = (next, false);
        let mut out = Vec::with_capacity(9 + self.marks.len() * 41);
        out.put_u8(VERSION);
        out.put_u64_le(next.get());
        for (sender, mark) in &self.marks {
            out.put_u128_le(*sender);
            out.put_i64_le(mark.first);
            out.put_i64_le(mark.last);
            out.put_u64_le(mark.at.get());
            out.put_u8(u8::from(mark.is_open));
        }
        let (key, value) = (key(stream), Some(out.into()));
        Some(Op::Put(Put { key, value, condition: Condition::Any }))
    }

    /// Takes what was stored; gives the offset as of which it is. What is of no known form counts for
    /// nothing: events are then recognised by their ids alone.
    pub(crate) fn restore(stored: Option<&[u8]>) -> Self {
        stored.and_then(Self::parse).unwrap_or_default()
    }

    fn parse(mut from: &[u8]) -> Option<Self> {
        if from.try_get_u8().ok()? != VERSION {
            return None;
        }
        let stored = Offset::new(from.try_get_u64_le().ok()?);
        let mut marks = HashMap::new();
        while !from.is_empty() && marks.len() < MAX_SENDERS {
            let sender = from.try_get_u128_le().ok()?;
            let (first, last) = (from.try_get_i64_le().ok()?, from.try_get_i64_le().ok()?);
            let at = Offset::new(from.try_get_u64_le().ok()?);
            let is_open = from.try_get_u8().ok()? != 0;
            marks.insert(sender, Mark { first, last, at, is_open });
        }
        Some(Self { marks, stored, ..Self::default() })
    }

    /// As of where they are stored.
    pub(crate) const fn stored(&self) -> Offset {
        self.stored
    }

    /// All of the log that tells of them was read, from `from` on.
    pub(crate) fn loaded(&mut self, from: Offset) {
        self.stored = self.stored.max(from);
        self.is_loaded = true;
    }
}

/// Where those of a stream are stored.
pub(crate) fn key(stream: StreamId) -> Bytes {
    [SENDERS, &stream.0.to_be_bytes()].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn of(sender: u128, number: i64) -> Number {
        Number { sender, number }
    }

    fn at(offset: u64) -> Offset {
        Offset::new(offset)
    }

    #[test]
    fn only_what_was_stored_is_taken_for_seen() {
        let mut senders = Senders::default();
        for number in [3, 4, 6] {
            senders.send(of(1, number), at(number as u64));
        }
        assert_eq!(senders.seen(of(1, 2)), None, "it came before all that is known");
        assert_eq!(senders.seen(of(1, 5)), Some(at(6)), "it went elsewhere");
        assert_eq!((senders.seen(of(1, 7)), senders.seen(of(2, 4))), (None, None));
        senders.send(of(1, 8), at(8));
        senders.lose(at(7));
        assert_eq!(senders.seen(of(1, 4)), None, "what was lost may have been any of them");
        senders.send(of(1, 9), at(9));
        assert_eq!((senders.seen(of(1, 8)), senders.seen(of(1, 9))), (None, Some(at(9))));
        senders.interrupt();
        assert_eq!(senders.seen(of(1, 9)), Some(at(9)));
        senders.send(of(1, 12), at(12));
        assert_eq!((senders.seen(of(1, 9)), senders.seen(of(1, 12))), (None, Some(at(12))));
    }

    #[test]
    fn who_sent_nothing_for_longest_is_forgotten_first() {
        let mut senders = Senders::default();
        for sender in 0..=MAX_SENDERS as u128 {
            senders.send(of(sender, 1), at(sender as u64 + 1));
        }
        assert!(senders.marks.len() <= MAX_SENDERS);
        assert_eq!(senders.seen(of(0, 1)), None);
        assert!(senders.seen(of(MAX_SENDERS as u128, 1)).is_some());
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let mut senders = Senders { is_loaded: true, ..Senders::default() };
        assert!(senders.store(StreamId(1), at(1)).is_none(), "nothing is stored of none");
        senders.send(of(7, 5), at(SPAN));
        assert!(senders.due(StreamId(1), at(SPAN)).is_none());
        let Some(Op::Put(put)) = senders.due(StreamId(1), at(SPAN + 1)) else { panic!("not due") };
        assert!(senders.due(StreamId(1), at(SPAN + 2)).is_none());
        let value = put.value.unwrap();
        let read = Senders::restore(Some(&value));
        assert_eq!((read.marks, read.stored), (senders.marks, at(SPAN + 1)));
        for length in 0..value.len() {
            // Cut anywhere, it is less or nothing.
            assert!(Senders::restore(Some(&value[..length])).marks.is_empty());
        }
    }
}
