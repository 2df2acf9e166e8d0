//! The stored state of an entity, and how a change makes the next one of it.
//!
//! Layout: version `1` (u8) | time (i64) | tick (u64) | length of the ref (u32) | ref | payload, little-endian.
//! Ref and payload are JSON texts made of the publisher's bytes: a change replaces the text of the
//! fields that it names and adds those that are new at the end, so the order of the first event and
//! the spelling of numbers stay.

use std::collections::HashMap;

use bytes::Bytes;
use outflow_model::json::Value;
use outflow_model::{Tick, Timestamp};

use super::Entity;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 8 + 8 + 4;

/// The state after `create`, or after an `update` of what is not there: what the event says.
pub(crate) fn first(at: (Timestamp, Tick), entity_ref: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + entity_ref.len() + payload.len());
    begin(at, &mut out);
    out.extend_from_slice(entity_ref);
    end_ref(&mut out);
    out.extend_from_slice(payload);
    out
}

/// What an event says of an entity: its ref and its payload.
pub(crate) type Said<'a> = (&'a [u8], &'a [u8]);

/// The state after `old` and each of `updates`, in order: fields and keys that they do not name
/// stay. Made in one go: its cost is that of `old` and `updates`, however many those are.
pub(crate) fn merged(old: Said<'_>, at: (Timestamp, Tick), updates: &[Said<'_>]) -> Vec<u8> {
    let (old_ref, old_payload) = old;
    let last = updates.last().map_or(0, |(_, payload)| payload.len());
    let mut out = Vec::with_capacity(HEAD_BYTES + old_ref.len() + old_payload.len() + last);
    begin(at, &mut out);
    if updates.iter().all(|(entity_ref, _)| *entity_ref == old_ref) {
        out.extend_from_slice(old_ref);
    } else {
        let refs: Vec<_> = updates.iter().map(|(entity_ref, _)| Value::new(entity_ref)).collect();
        merge_refs(Value::new(old_ref), &refs, &mut out);
    }
    end_ref(&mut out);
    let payloads: Vec<_> = updates.iter().map(|(_, payload)| Value::new(payload)).collect();
    merge(Value::new(old_payload), &payloads, &mut out);
    out
}

/// Reads a stored state; shares its bytes.
pub(crate) fn read(stored: &Bytes) -> Option<Entity> {
    let (head, _) = stored.split_first_chunk::<HEAD_BYTES>()?;
    let (version, head) = head.split_first()?;
    let (time, head) = head.split_first_chunk::<8>()?;
    let (tick, head) = head.split_first_chunk::<8>()?;
    let ref_len = u32::from_le_bytes(head.try_into().ok()?) as usize;
    let payload_at = HEAD_BYTES.checked_add(ref_len).filter(|&at| at <= stored.len())?;
    if *version != VERSION {
        return None;
    }
    Some(Entity {
        at: Timestamp::from_millis(i64::from_le_bytes(*time)),
        tick: Tick::new(u64::from_le_bytes(*tick))?,
        entity_ref: stored.slice(HEAD_BYTES..payload_at),
        payload: stored.slice(payload_at..),
    })
}

fn begin((time, tick): (Timestamp, Tick), out: &mut Vec<u8>) {
    out.push(VERSION);
    out.extend_from_slice(&time.millis().to_le_bytes());
    out.extend_from_slice(&tick.get().to_le_bytes());
    out.extend_from_slice(&[0; 4]);
}

/// Notes the length of the ref that was just written.
fn end_ref(out: &mut [u8]) {
    let len = out.len().saturating_sub(HEAD_BYTES) as u32;
    if let Some(place) = out.get_mut(HEAD_BYTES - 4..HEAD_BYTES) {
        place.copy_from_slice(&len.to_le_bytes());
    }
}

/// The newest ref with the alternative keys that only older ones name.
fn merge_refs(old: Value<'_>, newer: &[Value<'_>], out: &mut Vec<u8>) {
    let Some(newest) = newer.last() else { return };
    let mut before = b'{';
    for (name, value) in newest.members() {
        out.push(before);
        before = b',';
        write_name(name.as_written(), out);
        match old.get(b"ids").filter(|_| name.is(b"ids")) {
            Some(ids) => {
                let newer: Vec<_> = newer.iter().filter_map(|one| one.get(b"ids")).collect();
                merge(ids, &newer, out);
            }
            None => out.extend_from_slice(value.text()),
        }
    }
    out.push(b'}');
}

/// The members of `old` with the last values that `updates` give them, then the members that are
/// new, in the order in which they first came.
fn merge(old: Value<'_>, updates: &[Value<'_>], out: &mut Vec<u8>) {
    let said = || updates.iter().flat_map(|update| update.members());
    let mut changes: HashMap<_, _> =
        said().map(|(name, value)| (name.unescape(), (value, false))).collect();
    let mut before = b'{';
    for (name, value) in old.members() {
        let value = changes.get_mut(&name.unescape()).map_or(value, |(new, is_written)| {
            *is_written = true;
            *new
        });
        out.push(before);
        before = b',';
        write_name(name.as_written(), out);
        out.extend_from_slice(value.text());
    }
    for (name, _) in said() {
        let Some((value, is_written)) = changes.get_mut(&name.unescape()) else { continue };
        if !std::mem::replace(is_written, true) {
            out.push(before);
            before = b',';
            write_name(name.as_written(), out);
            out.extend_from_slice(value.text());
        }
    }
    if before == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

fn write_name(name: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(name);
    out.extend_from_slice(b"\":");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged_texts(old: (&str, &str), new: (&str, &str)) -> (String, String) {
        let at = (Timestamp::from_millis(5), Tick::FIRST);
        let old = read(&first(at, old.0.as_bytes(), old.1.as_bytes()).into()).unwrap();
        let later = (Timestamp::from_millis(7), Tick::FIRST.plus(2).unwrap());
        let old = (&*old.entity_ref, &*old.payload);
        let next = merged(old, later, &[(new.0.as_bytes(), new.1.as_bytes())]);
        let next = read(&next.into()).unwrap();
        assert_eq!((next.at, next.tick), later);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&next.entity_ref), text(&next.payload))
    }

    #[test]
    fn a_change_keeps_order_and_spelling() {
        let a = r#"{"type":"A","ids":{"no":1,"user":"u"}}"#;
        let payload = |old, new| merged_texts((a, old), (a, new)).1;
        assert_eq!(
            payload(r#"{"b": 1.10, "a":{"x":1}, "c":null}"#, r#"{"a":2E3,"z":[1, 2],"b":1.0}"#),
            r#"{"b":1.0,"a":2E3,"c":null,"z":[1, 2]}"#
        );
        assert_eq!(payload("{}", "{}"), "{}");
        assert_eq!(payload("{}", r#"{"a":1,"a":2}"#), r#"{"a":2}"#);
        assert_eq!(payload(r#"{"\u0061":1}"#, r#"{"a":2}"#), r#"{"\u0061":2}"#);
        assert_eq!(payload(r#"{"a":1}"#, "{}"), r#"{"a":1}"#);
    }

    #[test]
    fn alternative_keys_stay_when_a_change_names_the_first_only() {
        let (old, new) =
            (r#"{"type":"A","ids":{"no":1,"user":"u"}}"#, r#"{"type":"A","ids":{"no":1}}"#);
        assert_eq!(
            merged_texts((old, "{}"), (new, "{}")).0,
            r#"{"type":"A","ids":{"no":1,"user":"u"}}"#
        );
        let renamed = r#"{"ids":{"user":"v","no":1},"type":"A"}"#;
        assert_eq!(
            merged_texts((old, "{}"), (renamed, "{}")).0,
            r#"{"ids":{"no":1,"user":"v"},"type":"A"}"#
        );
    }

    #[test]
    fn many_changes_at_once_are_as_many_one_by_one() {
        let at = (Timestamp::from_millis(5), Tick::FIRST);
        let account = |ids: &str| format!(r#"{{"type":"A","ids":{{"no":1{ids}}}}}"#);
        let said = [
            (account(""), r#"{"a":1,"b":"x","b":2}"#),
            (account(r#","user":"u""#), r#"{"\u0062":3,"c":{}}"#),
            (account(""), "{}"),
            (account(r#","mail":"m","user":"v""#), r#"{"d":1.10,"a":[1, 2]}"#),
        ];
        let bytes = |(one, other): &(String, &'static str)| (one.clone(), (*other).to_owned());
        for count in 1..said.len() {
            let mut one_by_one = bytes(&said[0]);
            for (entity_ref, payload) in &said[1..=count] {
                let old = (one_by_one.0.as_bytes(), one_by_one.1.as_bytes());
                let next = merged(old, at, &[(entity_ref.as_bytes(), payload.as_bytes())]);
                let next = read(&next.into()).unwrap();
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                one_by_one = (text(&next.entity_ref), text(&next.payload));
            }
            let updates: Vec<Said<'_>> = said[1..=count]
                .iter()
                .map(|(entity_ref, payload)| (entity_ref.as_bytes(), payload.as_bytes()))
                .collect();
            let first = (said[0].0.as_bytes(), said[0].1.as_bytes());
            let next = read(&merged(first, at, &updates).into()).unwrap();
            assert_eq!(next.entity_ref, one_by_one.0, "{count}");
            assert_eq!(next.payload, one_by_one.1, "{count}");
        }
    }

    #[test]
    fn what_is_no_state_is_not_read() {
        let whole = first((Timestamp::from_millis(5), Tick::FIRST), b"{}", b"{\"a\":1}");
        assert!(read(&whole.clone().into()).is_some());
        for cut in 0..HEAD_BYTES + 2 {
            assert!(read(&Bytes::copy_from_slice(&whole[..cut])).is_none(), "{cut}");
        }
        let mut newer = whole;
        newer[0] = 2;
        assert!(read(&newer.into()).is_none());
    }
}
