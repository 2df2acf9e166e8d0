//! Where the entities of each type had no changes: what a change feed of chosen types did not send.
//!
//! Such a feed sends nothing while other types change, and its client's place, the last event that it
//! got, falls out of what is kept though the client has missed nothing. Here it is known whether it
//! has. Noted by `publish` in the batch of the events themselves, while a stream's feed sends chosen
//! types only; asked by [`Hub::changes_missed`](crate::Hub::changes_missed).
//!
//! Layout, little-endian, version `1` (u8) first. Of a stream: the offset after which it is watched (u64)
//! and the time since when (i64). Of a type: that offset (u64), then the offset (u64) and time (i64) of the last event, then of each
//! gap the offsets before and behind it (u64 each) and the time of its end (i64).
//!
//! Invariants: what is called silent had no event of the type; the other way round short gaps are
//! forgotten. A type's record counts only if it says the same beginning as the stream's. Who listens
//! and is never away for three quarters of the retention always finds the gap that it was in: it was
//! longer than a quarter of that, and ended within it.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use outflow_model::{Offset, Timestamp};
use outflow_store::{Condition, Op, Put};

use super::change::stream_prefix;
use crate::catalog::change::unavailable;
use crate::hub::Inner;
use crate::{CatalogError, Hub, Stream};

const VERSION: u8 = 1;
/// Which part of a stream's retention a gap has to last to be remembered.
const PART: i64 = 8;
/// How many gaps of a type are remembered: all that can end within the retention, and one more.
const MAX_GAPS: usize = 9;
/// No name of a type begins with it, so these records lie beside the entities, and go with them.
const MARK: u8 = b'!';

/// What is known of a stream's types. Kept in its lane.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// `None`: not read yet.
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    /// The offset after which all events are noted, and the time; `None`: none are.
    since: Option<(Offset, Timestamp)>,
    /// Whether `since` is known to be stored.
    is_stored: bool,
    /// How often `since` has changed.
    turn: u64,
    types: HashMap<String, Silence>,
}

/// What is known of the events of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Silence {
    /// The last event and its time; before the first, where watching began.
    last: (Offset, Timestamp),
    /// Oldest first.
    gaps: Vec<Gap>,
}

/// A long time without events of a type: the events on its both sides, and when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    after: Offset,
    until: Offset,
    at: Timestamp,
}

/// The events of one type in a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard<'a> {
    pub(crate) entity_type: &'a str,
    pub(crate) first: Offset,
    pub(crate) last: Offset,
}

/// The beginning that a batch stores; to be confirmed when it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beginning {
    turn: u64,
}

impl Watch {
    /// Whether what is stored was read.
    pub(crate) const fn is_read(&self) -> bool {
        self.known.is_some()
    }

    /// Notes a batch of a stream whose events begin at `first`, taken at `at`, and adds what stores
    /// that to `ops`.
    pub(crate) fn note<'a>(
        &mut self,
        stream: &Stream,
        (first, at): (Offset, Timestamp),
        heard: impl Iterator<Item = Heard<'a>>,
        ops: &mut Vec<Op>,
    ) -> Option<Beginning> {
        let unread = || Known { since: None, is_stored: false, turn: 0, types: HashMap::new() };
        let known = self.known.get_or_insert_with(unread);
        let is_chosen = stream.settings.feed_types.is_some();
        if is_chosen != known.since.is_some() {
            known.since = is_chosen.then(|| (Offset::new(first.get().saturating_sub(1)), at));
            known.is_stored = false;
            known.turn += 1;
            known.types.clear();
        }
        let mut put = |key, value| {
            ops.push(Op::Put(Put { key, value, condition: Condition::Any }));
        };
        // A batch that failed has stored nothing: told again until one is known to have.
        let beginning = (!known.is_stored).then(|| {
            let millis = |at: Timestamp| at.millis().to_le_bytes();
            let record = |(since, at)| [&*beginning_record(since), &millis(at)].concat().into();
            put(key(stream, ""), known.since.map(record));
            Beginning { turn: known.turn }
        });
        if let Some((since, since_at)) = known.since {
            let retention = i64::try_from(stream.settings.retention.age_ms).unwrap_or(i64::MAX);
            for one in heard {
                let fresh = || Silence { last: (since, since_at), gaps: Vec::new() };
                let silence = match known.types.get_mut(one.entity_type) {
                    Some(silence) => silence,
                    None => known.types.entry(one.entity_type.to_owned()).or_insert_with(fresh),
                };
                silence.end((one.first, one.last), at, retention);
                put(key(stream, one.entity_type), Some(silence.record(since)));
            }
        }
        beginning
    }

    /// Notes that a beginning is stored.
    pub(crate) fn confirm(&mut self, beginning: Beginning) {
        if let Some(known) = &mut self.known {
            known.is_stored |= known.turn == beginning.turn;
        }
    }
}

impl Silence {
    /// Events come, the first and last of them at these offsets.
    fn end(&mut self, (first, last): (Offset, Offset), at: Timestamp, retention: i64) {
        let since = |time: Timestamp| at.millis().saturating_sub(time.millis());
        // What ended longer ago lies before all that is kept.
        self.gaps.retain(|gap| since(gap.at) <= retention);
        if since(self.last.1) >= retention / PART {
            if self.gaps.len() >= MAX_GAPS {
                self.gaps.remove(0);
            }
            self.gaps.push(Gap { after: self.last.0, until: first, at });
        }
        self.last = (last, at);
    }

    /// Whether no event lies between these offsets, both exclusive.
    fn covers(&self, after: Offset, before: Offset) -> bool {
        let is_within = |gap: &Gap| gap.after <= after && before <= gap.until;
        self.last.0 <= after || self.gaps.iter().any(is_within)
    }

    fn record(&self, since: Offset) -> Bytes {
        let mut out = beginning_record(since).to_vec();
        out.extend_from_slice(&self.last.0.get().to_le_bytes());
        out.extend_from_slice(&self.last.1.millis().to_le_bytes());
        for gap in &self.gaps {
            out.extend_from_slice(&gap.after.get().to_le_bytes());
            out.extend_from_slice(&gap.until.get().to_le_bytes());
            out.extend_from_slice(&gap.at.millis().to_le_bytes());
        }
        out.into()
    }

    /// A type's record, and the beginning that it says.
    fn read(record: &[u8]) -> Option<(Offset, Self)> {
        let (since, rest) = read_beginning(record)?;
        let (last, rest) = rest.split_first_chunk()?;
        let (at, mut rest) = rest.split_first_chunk()?;
        let mut silence = Self { last: (offset(last), time(at)), gaps: Vec::new() };
        while let Some((after, more)) = rest.split_first_chunk() {
            let (until, more) = more.split_first_chunk()?;
            let (at, more) = more.split_first_chunk()?;
            silence.gaps.push(Gap { after: offset(after), until: offset(until), at: time(at) });
            rest = more;
        }
        (rest.is_empty() && silence.gaps.len() <= MAX_GAPS).then_some((since, silence))
    }
}

fn beginning_record(since: Offset) -> Bytes {
    [&[VERSION][..], &since.get().to_le_bytes()].concat().into()
}

fn read_beginning(record: &[u8]) -> Option<(Offset, &[u8])> {
    let (&version, rest) = record.split_first()?;
    let (since, rest) = rest.split_first_chunk()?;
    (version == VERSION).then(|| (offset(since), rest))
}

const fn offset(bytes: &[u8; 8]) -> Offset {
    Offset::new(u64::from_le_bytes(*bytes))
}

const fn time(bytes: &[u8; 8]) -> Timestamp {
    Timestamp::from_millis(i64::from_le_bytes(*bytes))
}

/// Where the record of a type is; of the stream, when it has no name.
fn key(stream: &Stream, entity_type: &str) -> Bytes {
    let mut key = stream_prefix(stream.id);
    key.push(MARK);
    key.extend_from_slice(entity_type.as_bytes());
    key.into()
}

/// What is stored of a stream: its beginning, and the types that share it.
async fn stored(inner: &Inner, stream: &Stream) -> Result<Known, CatalogError> {
    let prefix = key(stream, "");
    let most = super::entity_type::MAX_TYPES + 1;
    let entries = inner.engine.scan(&prefix, Some(&prefix), most).await.map_err(unavailable)?;
    // The prefix itself is the stream's own record. Read last: of a beginning that came meanwhile no
    // type's record counts, and nothing before it is called silent.
    let own = inner.engine.get(&prefix).await.map_err(unavailable)?;
    let since = own.as_ref().and_then(|entry| {
        let (since, rest) = read_beginning(&entry.value)?;
        Some((since, time(rest.try_into().ok()?)))
    });
    let mut is_whole = own.is_none() || since.is_some();
    let mut types = HashMap::new();
    for entry in entries {
        let name = entry.key.strip_prefix(&*prefix).and_then(|name| std::str::from_utf8(name).ok());
        match name.zip(Silence::read(&entry.value)) {
            Some((name, (of, silence))) if since.is_some_and(|(since, _)| since == of) => {
                types.insert(name.to_owned(), silence);
            }
            Some(_) => {}
            None => is_whole = false,
        }
    }
    // Where one cannot be read nothing is known, and watching begins anew.
    Ok(Known { since: since.filter(|_| is_whole), is_stored: is_whole, turn: 0, types })
}

/// Reads what is stored, unless it was. For whoever has the stream's turn.
pub(crate) async fn read(inner: &Inner, stream: &Stream) -> Result<(), CatalogError> {
    let watch = &stream.lane.keyed.watch;
    if !watch.lock().is_read() {
        let known = stored(inner, stream).await?;
        watch.lock().known = Some(known);
    }
    Ok(())
}

impl Hub {
    /// Whether the change feed of a keyed stream may have sent an event that lies between `after`, a
    /// client's place, and `from`, the first event that is kept. It has not when none of its chosen
    /// types has had one since, or until `from`; of a feed of all types it always has.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn changes_missed(
        &self,
        stream: &Stream,
        after: Offset,
        from: Offset,
    ) -> Result<bool, CatalogError> {
        let Some(types) = &stream.settings.feed_types else { return Ok(from > after.next()) };
        let known = stored(self.inner(), stream).await?;
        Ok(!known.covers(types, after, from))
    }
}

impl Known {
    fn covers(&self, types: &BTreeSet<String>, after: Offset, before: Offset) -> bool {
        let is_silent = |name: &String| {
            self.types.get(name).is_none_or(|silence| silence.covers(after, before))
        };
        self.since.is_some_and(|(since, _)| since <= after) && types.iter().all(is_silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: i64 = 8_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn place(n: u64) -> Offset {
        Offset::FIRST.plus(n)
    }

    #[test]
    fn only_what_is_long_and_recent_is_remembered_and_nothing_is_made_up() {
        let mut silence = Silence { last: (place(0), at(0)), gaps: Vec::new() };
        // An event every second is a gap each; two events of a second are none.
        let mut events = vec![0];
        for second in 1..100 {
            let first = second * 10;
            silence.end((place(first), place(first + 1)), at(second as i64), RETENTION);
            events.extend([first, first + 1]);
            assert!(silence.gaps.len() <= MAX_GAPS);
            for after in 0..=first + 2 {
                for before in after + 1..=(after + 20).min(first + 3) {
                    let is_free = !events.iter().any(|&event| after < event && event < before);
                    let covers = silence.covers(place(after), place(before));
                    assert!(is_free || !covers, "{after} {before}");
                    let is_recent = after + 80 >= first && events.contains(&after);
                    let is_long = after % 10 == 1 || after == first + 1;
                    assert!(covers || !(is_free && is_recent && is_long), "{after} {before}");
                }
            }
        }
        let record = silence.record(place(3));
        assert_eq!(Silence::read(&record), Some((place(3), silence)));
        for cut in (1..record.len()).filter(|cut| cut % 24 != 1) {
            assert_eq!(Silence::read(&record[..cut]), None, "{cut}");
        }
    }
}
