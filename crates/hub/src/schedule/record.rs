//! The stored form of a schedule: what is left of it under [`HEADS`], its event under [`EVENTS`], so that
//! each time writes a few bytes only.
//!
//! Called by `add`, `firing` and `table`. When the hub opens only the former are read.
//!
//! Little-endian. Left: version u8, due i64, delay u64, period u64, repeats u32 ([`ENDLESS`]: no end),
//! stream u32, bytes of the event u64, for how many milliseconds an event of it lives i64 (below 0: for
//! ever), name of the stream, cron entry (both u16 and text). Event: a draft of one event.

use bytes::{Buf as _, BufMut as _, Bytes};
use outflow_model::{Draft, ProjectId, StreamId, StreamName, Timestamp};
use outflow_store::{Condition, Op, Put};

use super::cron::Cron;
use super::table::{One, Title};
use super::{MAX_EVENT_BYTES, Recurrence};
use crate::subscription::prepared::{put_text, take_text};

/// Where what is left of schedules is.
pub(super) const HEADS: &[u8] = b"schedules/";
/// Where their events are.
const EVENTS: &[u8] = b"schedule-events/";
const VERSION: u8 = 1;
/// The repeats of a schedule that does not end.
const ENDLESS: u32 = u32::MAX;

fn key(prefix: &[u8], title: &Title, id: u64) -> Bytes {
    let rest = format!("{}/{}/{id:016x}", title.project, title.credential);
    [prefix, rest.as_bytes()].concat().into()
}

/// The key of a schedule's event.
pub(super) fn event_key(title: &Title, id: u64) -> Bytes {
    key(EVENTS, title, id)
}

/// Whose the entry with this key is, and which.
pub(super) fn parse_key(key: &[u8]) -> Option<(Title, u64)> {
    let key = std::str::from_utf8(key.strip_prefix(HEADS)?).ok()?;
    let mut parts = key.split('/');
    let project = ProjectId::new(parts.next()?).ok()?;
    let credential = parts.next()?.to_owned();
    let id = u64::from_str_radix(parts.next()?, 16).ok()?;
    parts.next().is_none().then_some((Title { project, credential }, id))
}

fn put(key: Bytes, value: Option<Bytes>) -> Op {
    Op::Put(Put { key, value, condition: Condition::Any })
}

/// What stores what is left of a schedule.
pub(super) fn head(id: u64, one: &One) -> Op {
    let Recurrence { cron, delay, period, repeats } = &one.recurrence;
    let mut out = Vec::with_capacity(96);
    out.put_u8(VERSION);
    out.put_i64_le(one.due.millis());
    out.put_u64_le(*delay);
    out.put_u64_le(*period);
    out.put_u32_le(repeats.unwrap_or(ENDLESS));
    out.put_u32_le(one.stream.0);
    out.put_u64_le(one.bytes as u64);
    out.put_i64_le(one.lives.unwrap_or(-1));
    put_text(&mut out, one.name.as_str());
    put_text(&mut out, &cron.as_ref().map_or_else(String::new, ToString::to_string));
    put(key(HEADS, &one.title, id), Some(out.into()))
}

/// What is stored of schedule `title`; `None`: nothing that this server has written.
pub(super) fn parse_head(title: Title, mut bytes: &[u8]) -> Option<One> {
    let from = &mut bytes;
    if from.try_get_u8().ok()? != VERSION {
        return None;
    }
    let due = Timestamp::from_millis(from.try_get_i64_le().ok()?);
    let (delay, period) = (from.try_get_u64_le().ok()?, from.try_get_u64_le().ok()?);
    let repeats = Some(from.try_get_u32_le().ok()?).filter(|repeats| *repeats != ENDLESS);
    let stream = StreamId(from.try_get_u32_le().ok()?);
    let bytes = usize::try_from(from.try_get_u64_le().ok()?).ok()?;
    let lives = Some(from.try_get_i64_le().ok()?).filter(|lives| *lives >= 0);
    let name = StreamName::new(&take_text(from)?).ok()?;
    let cron = Some(take_text(from)?).filter(|text| !text.is_empty());
    let cron = match cron {
        Some(text) => Some(Cron::parse(&text).ok()?),
        None => None,
    };
    let recurrence = Recurrence { cron, delay, period, repeats };
    from.is_empty().then_some(One { title, stream, name, due, recurrence, lives, bytes })
}

/// A draft of one event as it is stored; `None`: it is too large.
pub(super) fn of_event(draft: &Draft) -> Option<Bytes> {
    let mut out = Vec::with_capacity(draft.bytes() + 8);
    draft.keep(&mut out);
    (out.len() <= MAX_EVENT_BYTES).then(|| out.into())
}

/// What stores a schedule with its event.
pub(super) fn whole(id: u64, one: &One, event: Bytes) -> Vec<Op> {
    vec![head(id, one), put(event_key(&one.title, id), Some(event))]
}

/// What removes a schedule.
pub(super) fn removal(title: &Title, id: u64) -> Vec<Op> {
    vec![put(key(HEADS, title, id), None), put(event_key(title, id), None)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_as_it_was_stored() {
        let title = Title { project: ProjectId::new("p").unwrap(), credential: "c".to_owned() };
        for (cron, repeats, lives) in [("", None, None), ("0 1 * * 2", Some(7), Some(60_000))] {
            let cron = (!cron.is_empty()).then(|| Cron::parse(cron).unwrap());
            let one = One {
                title: title.clone(),
                stream: StreamId(9),
                name: StreamName::new("queue:q").unwrap(),
                due: Timestamp::from_millis(1_767_225_600_000),
                recurrence: Recurrence { cron, delay: 3, period: 500, repeats },
                lives,
                bytes: 321,
            };
            let Op::Put(put) = head(77, &one) else { panic!("no put") };
            assert_eq!(parse_key(&put.key), Some((title.clone(), 77)));
            let value = put.value.unwrap();
            assert_eq!(parse_head(title.clone(), &value), Some(one));
            for length in 0..value.len() {
                assert_eq!(parse_head(title.clone(), &value[..length]), None, "{length}");
            }
        }
    }
}
