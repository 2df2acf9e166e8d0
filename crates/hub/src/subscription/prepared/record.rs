//! The stored form of a prepared transaction: its answers under [`PREPARED`], its publishes under
//! [`SENDS`], each cut into pieces that the engine takes.
//!
//! Called by `prepared`. When the hub opens only the answers are read; publishes may be many
//! megabytes, and are read once they are wanted.
//!
//! Little-endian. Answers: version u8, when it was prepared i64, bytes of publishes u64 (neither in
//! version 1), pieces of publishes u32, count u32, and each: subscription u32, stream u32,
//! offset u64, at i64, expires i64, group u64, restricted u8, deliveries u32, size u32, kind u8,
//! delay in milliseconds u64, cause (u16 and text). Publishes: each project, stream (u16 and text),
//! number u32, length u32, draft.

use bytes::{Buf, BufMut, Bytes};
use outflow_model::{Draft, Offset, ProjectId, StreamId, StreamName, Timestamp};
use outflow_store::{Condition, Op, Put};

use super::super::entry::Entry;
use super::super::hand::Leased;
use super::super::transaction::Answered;
use super::super::{LeaseId, Settle, SubscriptionId};
use super::Title;

/// Where answers are.
pub(super) const PREPARED: &[u8] = b"prepared/";
/// Where publishes are.
pub(super) const SENDS: &[u8] = b"prepared-sends/";
/// How much one entry of the state holds, in bytes.
const PIECE_BYTES: usize = 512 << 10;
const VERSION: u8 = 2;
/// That of a record without its time.
const TIMELESS: u8 = 1;

const ACK: u8 = 0;
const DEAD_LETTER: u8 = 1;
const REQUEUE: u8 = 2;

/// In how many pieces one is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pieces {
    /// Those of its answers.
    pub(super) heads: u32,
    /// Those of its publishes.
    pub(super) sends: u32,
}

/// What was read of one.
#[derive(Debug)]
pub(super) struct Head {
    /// When it was prepared, where that was stored.
    pub(super) at: Option<Timestamp>,
    /// How many bytes it publishes, or at most does.
    pub(super) bytes: usize,
    /// How many pieces its publishes have.
    pub(super) sends: u32,
    pub(super) answers: Vec<Kept>,
}

/// An answer as it is kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) subscription: SubscriptionId,
    pub(super) stream: StreamId,
    pub(super) answer: Settle,
    pub(super) entry: Entry,
}

/// A publish as it is kept.
#[derive(Debug)]
pub(super) struct Publish {
    pub(super) project: ProjectId,
    pub(super) stream: StreamName,
    pub(super) id: StreamId,
    pub(super) draft: Draft,
}

/// The key of piece `number` of a transaction.
fn key(prefix: &[u8], title: &Title, number: u32) -> Bytes {
    let rest = format!("{}{number:08x}", title.path());
    [prefix, rest.as_bytes()].concat().into()
}

/// Whose the piece of answers with this key is.
pub(super) fn parse_key(key: &[u8]) -> Option<Title> {
    let key = std::str::from_utf8(key.strip_prefix(PREPARED)?).ok()?;
    let mut parts = key.split('/').map(str::to_owned);
    let (project, credential, name) = (parts.next()?, parts.next()?, parts.next()?);
    u32::from_str_radix(&parts.next()?, 16).ok()?;
    parts.next().is_none().then_some(Title { project, credential, name })
}

/// The prefix of the publishes of a transaction.
pub(super) fn sends_prefix(title: &Title) -> Vec<u8> {
    [SENDS, title.path().as_bytes()].concat()
}

/// What removes a transaction.
pub(super) fn removal(title: &Title, pieces: Pieces) -> Vec<Op> {
    let of = |prefix: &'static [u8], count: u32| {
        (0..count).map(move |number| put(key(prefix, title, number), None))
    };
    of(PREPARED, pieces.heads).chain(of(SENDS, pieces.sends)).collect()
}

fn put(key: Bytes, value: Option<Bytes>) -> Op {
    Op::Put(Put { key, value, condition: Condition::Any })
}

/// What stores bytes in pieces, and how many there are.
pub(super) fn pieces(prefix: &[u8], title: &Title, bytes: Vec<u8>, ops: &mut Vec<Op>) -> u32 {
    let mut rest = Bytes::from(bytes);
    let mut count = 0;
    while !rest.is_empty() {
        let piece = rest.split_to(rest.len().min(PIECE_BYTES));
        ops.push(put(key(prefix, title, count), Some(piece)));
        count += 1;
    }
    count
}

/// The bytes of publishes.
pub(super) fn of_sends<'a>(
    sends: impl Iterator<Item = (&'a ProjectId, &'a StreamName, StreamId, &'a Draft)>,
) -> Vec<u8> {
    let mut out = Vec::new();
    for (project, stream, id, draft) in sends {
        put_text(&mut out, project.as_str());
        put_text(&mut out, stream.as_str());
        out.put_u32_le(id.0);
        let at = out.len();
        out.put_u32_le(0);
        draft.keep(&mut out);
        let length = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
        if let Some(place) = out.get_mut(at..at + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }
    out
}

/// The publishes of their bytes; `None`: they are none.
pub(super) fn sends(mut bytes: &[u8]) -> Option<Vec<Publish>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let project = ProjectId::new(&take_text(&mut bytes)?).ok()?;
        let stream = StreamName::new(&take_text(&mut bytes)?).ok()?;
        let id = StreamId(bytes.try_get_u32_le().ok()?);
        let length = usize::try_from(bytes.try_get_u32_le().ok()?).ok()?;
        let (draft, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        all.push(Publish { project, stream, id, draft: Draft::restore(draft)? });
    }
    Some(all)
}

/// The bytes of answers, each with the stream of its event, and of what else is known without the
/// publishes: when it was prepared, how many bytes they have and in how many pieces they are.
pub(super) fn of_answers(
    at: Timestamp,
    bytes: usize,
    sends: u32,
    answers: &[(&Answered, StreamId)],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + answers.len() * 72);
    out.put_u8(VERSION);
    out.put_i64_le(at.millis());
    out.put_u64_le(bytes as u64);
    out.put_u32_le(sends);
    let events = || answers.iter().filter_map(|(one, stream)| Some((one, stream, entry_of(one)?)));
    out.put_u32_le(u32::try_from(events().count()).unwrap_or(u32::MAX));
    for (one, stream, entry) in events() {
        out.put_u32_le(one.subscription.id().0);
        out.put_u32_le(stream.0);
        put_entry(&mut out, entry);
        let (kind, delay, cause) = match &one.answer {
            Settle::DeadLetter { cause, .. } => (DEAD_LETTER, 0, cause.as_str()),
            Settle::Requeue { delay, .. } => {
                let delay = delay.map_or(0, |delay| delay.as_millis());
                (REQUEUE, u64::try_from(delay).unwrap_or(u64::MAX), "")
            }
            Settle::Ack(_) | Settle::AckThrough(_) | Settle::Extend { .. } => (ACK, 0, ""),
        };
        out.put_u8(kind);
        out.put_u64_le(delay);
        put_text(&mut out, cause);
    }
    out
}

const fn entry_of(answered: &Answered) -> Option<&Entry> {
    let Leased { entry, .. } = &answered.leased;
    entry.as_ref()
}

/// What is stored of the answers; `None`: nothing that this server has written.
pub(super) fn head(mut bytes: &[u8]) -> Option<Head> {
    let from = &mut bytes;
    let (at, bytes) = match from.try_get_u8().ok()? {
        VERSION => {
            let at = Timestamp::from_millis(from.try_get_i64_le().ok()?);
            (Some(at), Some(usize::try_from(from.try_get_u64_le().ok()?).ok()?))
        }
        TIMELESS => (None, None),
        _ => return None,
    };
    let (sends, count) = (from.try_get_u32_le().ok()?, from.try_get_u32_le().ok()?);
    let bytes = bytes.unwrap_or(sends as usize * PIECE_BYTES);
    let mut answers = Vec::new();
    for _ in 0..count {
        let subscription = SubscriptionId(from.try_get_u32_le().ok()?);
        let stream = StreamId(from.try_get_u32_le().ok()?);
        let entry = take_entry(from)?;
        let (kind, delay) = (from.try_get_u8().ok()?, from.try_get_u64_le().ok()?);
        let (cause, lease) = (take_text(from)?, LeaseId(0));
        let answer = match kind {
            ACK => Settle::Ack(lease),
            DEAD_LETTER => Settle::DeadLetter { lease, cause },
            REQUEUE => {
                let delay = (delay > 0).then(|| std::time::Duration::from_millis(delay));
                Settle::Requeue { lease, delay }
            }
            _ => return None,
        };
        answers.push(Kept { subscription, stream, answer, entry });
    }
    from.is_empty().then_some(Head { at, bytes, sends, answers })
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    out.put_u64_le(entry.offset.get());
    out.put_i64_le(entry.at.millis());
    out.put_i64_le(entry.expires.millis());
    out.put_u64_le(entry.group);
    out.put_u8(u8::from(entry.restricted));
    out.put_u32_le(entry.deliveries);
    out.put_u32_le(entry.size);
}

fn take_entry(from: &mut &[u8]) -> Option<Entry> {
    Some(Entry {
        offset: Offset::new(from.try_get_u64_le().ok()?),
        at: Timestamp::from_millis(from.try_get_i64_le().ok()?),
        expires: Timestamp::from_millis(from.try_get_i64_le().ok()?),
        group: from.try_get_u64_le().ok()?,
        // It is read again with the event.
        ends_group: false,
        restricted: from.try_get_u8().ok()? != 0,
        first_of_group: false,
        deliveries: from.try_get_u32_le().ok()?,
        size: from.try_get_u32_le().ok()?,
        body: None,
    })
}

/// Texts here are short; what is longer is cut.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = text.get(..text.floor_char_boundary(usize::from(u16::MAX))).unwrap_or_default();
    out.put_u16_le(u16::try_from(text.len()).unwrap_or(0));
    out.extend_from_slice(text.as_bytes());
}

/// The text that [`put_text`] has put.
pub(crate) fn take_text(from: &mut &[u8]) -> Option<String> {
    let length = usize::from(from.try_get_u16_le().ok()?);
    let (text, rest) = from.split_at_checked(length)?;
    *from = rest;
    String::from_utf8(text.to_vec()).ok()
}
