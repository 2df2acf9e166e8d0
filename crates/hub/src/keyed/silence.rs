//! Where the entities of each type had no changes: what a change feed of chosen types did not send.
//!
//! Such a feed sends nothing while other types change, and its client's place, the last event that it
//! got, falls out of what is kept though the client has missed nothing. Here it is known whether it
//! has. Noted by `publish` in the batch of the events themselves, while a stream's feed sends chosen
//! types only; asked by [`Hub::changes_missed`](crate::Hub::changes_missed). [`record`] says how it is
//! stored.
//!
//! Invariants: what is called silent had no event of the type. The other way round, of a type with more
//! than [`record::MAX_GAPS`] times of silence within what is kept when they end, the shortest are
//! forgotten: each is shorter than a sixtieth of that time, and only who was away for all the rest of it
//! asks. A type's records count only if they say the same beginning as the stream's.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use outflow_model::{Offset, Timestamp};
use outflow_store::{Condition, Op, Put};

use super::change::stream_prefix;
use crate::catalog::change::unavailable;
use crate::hub::Inner;
use crate::{CatalogError, Hub, Stream};

mod record;

use record::Silence;

/// No name of a type begins with it, so these records lie beside the entities, and go with them. None
/// ends with it either: so do the keys of gaps.
const MARK: u8 = b'!';

/// What is known of a stream's types. Kept in its lane.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// `None`: not read yet.
    known: Option<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The offset after which all events are noted, and the time; `None`: none are.
    since: Option<(Offset, Timestamp)>,
    types: HashMap<String, Type>,
    /// The number of the last change of `since` or of any gaps.
    changed: u64,
    /// The last one that is known to be stored, with all before it.
    stored: u64,
    /// Which one `since` came with.
    begun: u64,
}

#[derive(Debug)]
struct Type {
    silence: Silence,
    /// The number of the last change of its gaps.
    changed: u64,
}

/// The events of one type in a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard<'a> {
    pub(crate) entity_type: &'a str,
    pub(crate) first: Offset,
    pub(crate) last: Offset,
}

/// Where a batch is in its stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    /// Its first event.
    pub(crate) first: Offset,
    /// When it was taken.
    pub(crate) at: Timestamp,
    /// The oldest event of the stream that is kept.
    pub(crate) kept: Offset,
}

/// What a batch stores beside the last events; to be confirmed when it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Noted {
    changed: u64,
}

impl Watch {
    /// Whether what is stored was read.
    pub(crate) const fn is_read(&self) -> bool {
        self.known.is_some()
    }

    /// Notes a batch of a stream, and adds what stores that to `ops`. What changes seldom, the beginning
    /// and the gaps, is stored when it has changed: with each batch until one is known to have landed,
    /// as one that failed has stored nothing.
    pub(crate) fn note<'a>(
        &mut self,
        stream: &Stream,
        batch: At,
        heard: impl Iterator<Item = Heard<'a>>,
        ops: &mut Vec<Op>,
    ) -> Option<Noted> {
        let known = self.known.get_or_insert_default();
        let is_chosen = stream.settings.feed_types.is_some();
        if is_chosen != known.since.is_some() {
            let before = Offset::new(batch.first.get().saturating_sub(1));
            known.since = is_chosen.then_some((before, batch.at));
            known.types.clear();
            known.changed += 1;
            known.begun = known.changed;
        }
        let mut put = |key, value| {
            ops.push(Op::Put(Put { key, value, condition: Condition::Any }));
        };
        if known.begun > known.stored {
            put(key(stream, ""), known.since.map(record::stream_record));
        }
        if let Some(since) = known.since {
            for one in heard {
                let fresh = || Type { silence: Silence::new(since), changed: 0 };
                let of = match known.types.get_mut(one.entity_type) {
                    Some(of) => of,
                    None => known.types.entry(one.entity_type.to_owned()).or_insert_with(fresh),
                };
                if of.silence.end((one.first, one.last), batch.at, batch.kept) {
                    known.changed += 1;
                    of.changed = known.changed;
                }
                put(key(stream, one.entity_type), Some(of.silence.record(since.0)));
            }
            if known.changed > known.stored {
                for (name, of) in &known.types {
                    if of.changed > known.stored {
                        put(gaps_key(stream, name), Some(of.silence.gaps_record(since.0)));
                    }
                }
            }
        }
        (known.changed > known.stored).then_some(Noted { changed: known.changed })
    }

    /// Notes that a batch is stored.
    pub(crate) fn confirm(&mut self, noted: Noted) {
        if let Some(known) = &mut self.known {
            known.stored = known.stored.max(noted.changed);
        }
    }
}

/// Where the record of a type is; of the stream, when it has no name.
fn key(stream: &Stream, entity_type: &str) -> Bytes {
    let mut key = stream_prefix(stream.id);
    key.push(MARK);
    key.extend_from_slice(entity_type.as_bytes());
    key.into()
}

/// Where the record of a type's gaps is.
fn gaps_key(stream: &Stream, entity_type: &str) -> Bytes {
    [&*key(stream, entity_type), &[MARK]].concat().into()
}

/// What is stored of a stream: its beginning, and the types that share it.
async fn stored(inner: &Inner, stream: &Stream) -> Result<Known, CatalogError> {
    let prefix = key(stream, "");
    let most = super::entity_type::MAX_TYPES * 2 + 1;
    let entries = inner.engine.scan(&prefix, Some(&prefix), most).await.map_err(unavailable)?;
    // The prefix itself is the stream's own record. Read last: of a beginning that came meanwhile no
    // type's record counts, and nothing before it is called silent.
    let own = inner.engine.get(&prefix).await.map_err(unavailable)?;
    let since = own.as_ref().and_then(|entry| record::read_stream(&entry.value));
    let mut is_whole = own.is_none() || since.is_some();
    let mut known = Known::default();
    // A type's gaps come behind it.
    for entry in entries {
        let name = entry.key.strip_prefix(&*prefix).and_then(|name| std::str::from_utf8(name).ok());
        let Some(name) = name else {
            is_whole = false;
            continue;
        };
        if let Some(name) = name.strip_suffix(char::from(MARK)) {
            if let (Some(of), Some((since, _))) = (known.types.get_mut(name), since) {
                is_whole &= of.silence.take_gaps(&entry.value, since);
                of.changed = 0;
            }
            continue;
        }
        match Silence::read(&entry.value) {
            Some((of, silence)) if since.is_some_and(|(since, _)| since == of) => {
                // Gaps that have no record of their own are to get one.
                let changed = u64::from(silence.has_gaps());
                known.changed = 1;
                known.types.insert(name.to_owned(), Type { silence, changed });
            }
            Some(_) => {}
            None => is_whole = false,
        }
    }
    if is_whole {
        known.since = since;
    } else {
        // Where one cannot be read nothing is known, and watching begins anew.
        (known.changed, known.begun) = (1, 1);
        known.types.clear();
    }
    Ok(known)
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
        let is_silent =
            |name: &String| self.types.get(name).is_none_or(|of| of.silence.covers(after, before));
        self.since.is_some_and(|(since, _)| since <= after) && types.iter().all(is_silent)
    }
}
