//! What is known of the events of one type, and how it is stored. No I/O.
//!
//! Called by [`super`]. Layout, little-endian, version `1` (u8) and then the offset after which the
//! stream is watched (u64) first. Of a stream: the time since when (i64). Of a type: the offset
//! (u64) and time (i64) of its last event. Of its gaps: of each the offsets before and behind it and
//! how many milliseconds it lasted (u64 each). Types' records that were written before gaps had
//! one of their own hold them behind, of each the offsets and the time of its end (i64).
//!
//! Invariants: between two batches with events of the type, nothing is in a gap but events of other
//! types; gaps come in the order of their offsets, and all but the longest [`MAX_GAPS`] are forgotten.

use bytes::Bytes;
use outflow_model::{Offset, Timestamp};

const VERSION: u8 = 1;
/// How many gaps of a type are remembered.
pub(super) const MAX_GAPS: usize = 64;
/// How many could stand in a type's own record.
const MAX_INLINE: usize = 9;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Silence {
    /// The last event and its time; before the first, where watching began.
    last: (Offset, Timestamp),
    /// Oldest first.
    gaps: Vec<Gap>,
}

/// A time without events of a type: the events on its both sides, and how long it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    after: Offset,
    until: Offset,
    ms: u64,
}

impl Silence {
    /// Of a type that had no event since then.
    pub(super) const fn new(since: (Offset, Timestamp)) -> Self {
        Self { last: since, gaps: Vec::new() }
    }

    /// Events come, the first and last of them at these offsets; `kept` is the oldest event of the
    /// stream that is kept. Gives whether the gaps are others now.
    pub(super) fn end(
        &mut self,
        (first, last): (Offset, Offset),
        at: Timestamp,
        kept: Offset,
    ) -> bool {
        // Nobody asks of what lies before all that is kept.
        let gone = self.gaps.iter().take_while(|gap| gap.until < kept).count();
        self.gaps.drain(..gone);
        let ms = u64::try_from(at.millis().saturating_sub(self.last.1.millis())).unwrap_or(0);
        let gap = Gap { after: self.last.0, until: first, ms };
        self.last = (last, at);
        // Without any event in it, it is none that somebody's place may be in.
        let is_new = gap.until > gap.after.next() && self.is_worth(gap);
        if is_new {
            self.gaps.push(gap);
        }
        is_new || gone > 0
    }

    /// Whether to remember this one. Where too many are, the shortest makes room, or it is that.
    fn is_worth(&mut self, gap: Gap) -> bool {
        if self.gaps.len() < MAX_GAPS {
            return true;
        }
        let shortest = self.gaps.iter().enumerate().min_by_key(|(_, gap)| gap.ms);
        let Some((at, _)) = shortest.filter(|(_, shortest)| shortest.ms < gap.ms) else {
            return false;
        };
        self.gaps.remove(at);
        true
    }

    /// Whether no event lies between these offsets, both exclusive.
    pub(super) fn covers(&self, after: Offset, before: Offset) -> bool {
        let is_within = |gap: &Gap| gap.after <= after && before <= gap.until;
        self.last.0 <= after || self.gaps.iter().any(is_within)
    }

    /// The record of the type.
    pub(super) fn record(&self, since: Offset) -> Bytes {
        let (last, at) = self.last;
        [&*begin(since), &last.get().to_le_bytes(), &at.millis().to_le_bytes()].concat().into()
    }

    /// The record of its gaps.
    pub(super) fn gaps_record(&self, since: Offset) -> Bytes {
        let mut out = begin(since);
        for gap in &self.gaps {
            for number in [gap.after.get(), gap.until.get(), gap.ms] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out.into()
    }

    /// A type's record, and the beginning that it says.
    pub(super) fn read(record: &[u8]) -> Option<(Offset, Self)> {
        let (since, rest) = begun(record)?;
        let (last, rest) = rest.split_first_chunk()?;
        let (at, rest) = rest.split_first_chunk()?;
        // Only long ones were remembered then.
        let gap = |[after, until, _]: [u64; 3]| Gap {
            after: Offset::new(after),
            until: Offset::new(until),
            ms: u64::MAX,
        };
        let gaps = triples(rest, MAX_INLINE, gap)?;
        Some((since, Self { last: (offset(last), time(at)), gaps }))
    }

    /// Whether the gaps stood in the type's own record.
    pub(super) const fn has_gaps(&self) -> bool {
        !self.gaps.is_empty()
    }

    /// Takes the gaps of their own record, when it says this beginning; gives whether it is whole.
    pub(super) fn take_gaps(&mut self, record: &[u8], since: Offset) -> bool {
        let Some((of, rest)) = begun(record) else { return false };
        let gap = |[after, until, ms]: [u64; 3]| Gap {
            after: Offset::new(after),
            until: Offset::new(until),
            ms,
        };
        let Some(gaps) = triples(rest, MAX_GAPS, gap) else { return false };
        if of == since {
            self.gaps = gaps;
        }
        true
    }
}

/// The record of a stream.
pub(super) fn stream_record((since, at): (Offset, Timestamp)) -> Bytes {
    [&*begin(since), &at.millis().to_le_bytes()].concat().into()
}

/// Since when a stream is watched.
pub(super) fn read_stream(record: &[u8]) -> Option<(Offset, Timestamp)> {
    let (since, rest) = begun(record)?;
    Some((since, time(rest.try_into().ok()?)))
}

fn begin(since: Offset) -> Vec<u8> {
    [&[VERSION][..], &since.get().to_le_bytes()].concat()
}

fn begun(record: &[u8]) -> Option<(Offset, &[u8])> {
    let (&version, rest) = record.split_first()?;
    let (since, rest) = rest.split_first_chunk()?;
    (version == VERSION).then(|| (offset(since), rest))
}

fn triples(bytes: &[u8], max: usize, gap: impl Fn([u64; 3]) -> Gap) -> Option<Vec<Gap>> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    let (triples, more) = numbers.as_chunks::<3>();
    if !rest.is_empty() || !more.is_empty() || triples.len() > max {
        return None;
    }
    Some(triples.iter().map(|three| gap(three.map(u64::from_le_bytes))).collect())
}

const fn offset(bytes: &[u8; 8]) -> Offset {
    Offset::new(u64::from_le_bytes(*bytes))
}

const fn time(bytes: &[u8; 8]) -> Timestamp {
    Timestamp::from_millis(i64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn place(n: u64) -> Offset {
        Offset::FIRST.plus(n)
    }

    /// The events of a type: offsets, and what the silence before each lasted.
    fn told(silence: &mut Silence, events: &[(u64, u64)], kept: u64) {
        for &(offset, ms) in events {
            let now = at(silence.last.1.millis() + ms as i64);
            silence.end((place(offset), place(offset)), now, place(kept));
        }
    }

    #[test]
    fn every_gap_that_may_be_asked_of_is_known_and_none_is_made_up() {
        let mut silence = Silence::new((place(0), at(0)));
        // However short, and whatever a stream's size has cut off.
        let mut events = vec![0];
        for n in 1..200_u64 {
            let (first, kept) = (n * 10, (n * 10).saturating_sub(500));
            silence.end((place(first), place(first + 1)), at(n as i64 % 2), place(kept));
            events.extend([first, first + 1]);
            for after in events.iter().copied().filter(|event| event + 500 >= first) {
                for before in after + 1..=(after + 20).min(first + 3) {
                    let is_free = !events.iter().any(|&event| after < event && event < before);
                    let is_asked = before > after + 1 && before >= kept;
                    let covers = silence.covers(place(after), place(before));
                    assert!(is_free || !covers, "{after} {before}");
                    assert!(covers || !(is_free && is_asked), "{after} {before}");
                }
            }
        }
    }

    #[test]
    fn of_too_many_the_longest_are_remembered() {
        let mut silence = Silence::new((place(0), at(0)));
        let events: Vec<_> = (1..=200).map(|n| (n * 2, (n * 37) % 211)).collect();
        told(&mut silence, &events, 0);
        let mut lengths: Vec<_> = events.iter().map(|(_, ms)| *ms).collect();
        lengths.sort_unstable();
        let least = lengths[200 - MAX_GAPS];
        for &(offset, ms) in &events[..199] {
            let is_known = silence.covers(place(offset - 2), place(offset));
            assert_eq!(is_known, ms >= least, "{offset} {ms}");
        }
        // What lies before all that is kept makes room.
        told(&mut silence, &[(402, 0), (404, 0)], 401);
        assert!(silence.covers(place(400), place(402)) && silence.gaps.len() == 2);
        // An event right behind another leaves no gap.
        told(&mut silence, &[(405, 9)], 401);
        assert_eq!(silence.gaps.len(), 2);
    }

    #[test]
    fn records_are_read_as_they_are_and_as_they_were() {
        let mut silence = Silence::new((place(0), at(0)));
        told(&mut silence, &[(3, 5), (9, 6)], 0);
        let (since, mut read) = Silence::read(&silence.record(place(3))).unwrap();
        assert_eq!((since, read.has_gaps()), (place(3), false));
        let gaps = silence.gaps_record(place(3));
        assert!(read.take_gaps(&gaps, place(4)) && !read.has_gaps(), "of another beginning");
        assert!(read.take_gaps(&gaps, place(3)));
        assert_eq!(read, silence);
        // Behind the type's own record, with the time of its end.
        let numbers = [place(1).get(), place(7).get(), 5].map(u64::to_le_bytes).concat();
        let before = [&silence.record(place(3))[..], &numbers].concat();
        let (_, read) = Silence::read(&before).unwrap();
        assert!(read.covers(place(1), place(7)) && !read.covers(place(0), place(7)));
        for cut in 0..before.len() {
            let is_whole = cut == before.len() - numbers.len();
            assert_eq!(Silence::read(&before[..cut]).is_some(), is_whole, "{cut}");
        }
        for cut in (0..gaps.len()).filter(|cut| *cut < 9 || cut % 24 != 9) {
            assert!(!silence.take_gaps(&gaps[..cut], place(3)), "{cut}");
        }
        let many = [&gaps[..9], &[0; 24].repeat(MAX_GAPS + 1)].concat();
        assert!(!silence.take_gaps(&many, place(3)));
    }
}
