//! The stored form of what must outlast the server of an endpoint's state: JSON with a version.
//!
//! Written when the state changes its class, never for a success after a success; read when the post
//! takes an endpoint on.

use bytes::Bytes;
use outflow_model::{Offset, Timestamp};
use serde::{Deserialize, Serialize};

use crate::health::Failing;
use crate::session::{Disabled, Note};
use crate::wire::BatchSize;

/// The version written; a newer one is not read.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Record {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failing: Option<FailingRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_attempt: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quiet: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disabled: Option<(String, i64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    at_hand: Vec<u64>,
    /// How many events batches had at most when that one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// The batches that stand behind that one, the first of them last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    behind: Vec<BehindRecord>,
}

#[derive(Serialize, Deserialize)]
struct BehindRecord {
    offsets: Vec<u64>,
    size: u64,
}

#[derive(Serialize, Deserialize)]
struct FailingRecord {
    since: i64,
    failures: u32,
    told: u8,
}

/// The stored form; `None`: there is nothing to remember.
pub(crate) fn encode(note: &Note) -> Option<Bytes> {
    if *note == Note::default() {
        return None;
    }
    let record = Record {
        v: VERSION,
        failing: note.failing.map(|Failing { since, failures, told }| FailingRecord {
            since: since.millis(),
            failures,
            told,
        }),
        next_attempt: note.next_attempt.map(Timestamp::millis),
        quiet: note.quiet.map(Timestamp::millis),
        disabled: note.disabled.map(|(why, at)| (why.as_str().into(), at.millis())),
        at_hand: note.at_hand.iter().map(|offset| offset.get()).collect(),
        size: note.size.map(|size| size.get() as u64),
        behind: note.behind.iter().map(behind).collect(),
    };
    // A plain struct of strings and numbers: writing it cannot fail.
    serde_json::to_vec(&record).ok().map(Bytes::from)
}

/// Reads the stored form; `None`: it is of a newer version, or damaged.
pub(crate) fn decode(value: &[u8]) -> Option<Note> {
    let record: Record = serde_json::from_slice(value).ok()?;
    if record.v > VERSION {
        return None;
    }
    let disabled = match record.disabled {
        Some((word, at)) => Some((Disabled::parse(&word)?, Timestamp::from_millis(at))),
        None => None,
    };
    let failing = record.failing.map(|FailingRecord { since, failures, told }| Failing {
        since: Timestamp::from_millis(since),
        failures,
        told,
    });
    let next_attempt = record.next_attempt.map(Timestamp::from_millis);
    let quiet = record.quiet.map(Timestamp::from_millis);
    let at_hand: Vec<Offset> = record.at_hand.into_iter().map(Offset::new).collect();
    let size = match record.size {
        Some(events) => Some(BatchSize::new(events).ok()?),
        None => None,
    };
    let fits = |size: BatchSize| size.get() >= at_hand.len();
    let behind: Option<Vec<_>> = record.behind.into_iter().map(read_behind).collect();
    let is_good = size.is_none_or(fits);
    let note = Note { failing, next_attempt, quiet, disabled, at_hand, size, behind: behind? };
    is_good.then_some(note)
}

fn behind((offsets, size): &(Vec<Offset>, BatchSize)) -> BehindRecord {
    let offsets = offsets.iter().map(|offset| offset.get()).collect();
    BehindRecord { offsets, size: size.get() as u64 }
}

fn read_behind(one: BehindRecord) -> Option<(Vec<Offset>, BatchSize)> {
    let size = BatchSize::new(one.size).ok().filter(|size| size.get() >= one.offsets.len())?;
    Some((one.offsets.into_iter().map(Offset::new).collect(), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_comes_back() {
        let at = Timestamp::from_millis;
        let note = Note {
            failing: Some(Failing { since: at(1), failures: 7, told: 50 }),
            next_attempt: Some(at(2)),
            quiet: Some(at(1)),
            disabled: Some((Disabled::Failing, at(3))),
            at_hand: vec![Offset::new(4), Offset::new(9)],
            size: BatchSize::new(5).ok(),
            behind: vec![(vec![Offset::new(11), Offset::new(12)], BatchSize::new(10).unwrap())],
        };
        assert_eq!(decode(&encode(&note).unwrap()), Some(note));
        assert_eq!(encode(&Note::default()), None);
        assert_eq!(decode(br#"{"v":1}"#), Some(Note::default()));
        let bad = [&b"{"[..], br#"{"v":2}"#, br#"{"v":1,"disabled":["odd",1]}"#];
        let sizes = [
            &br#"{"v":1,"at_hand":[1],"size":7}"#[..],
            br#"{"v":1,"behind":[{"offsets":[1,2],"size":1}]}"#,
        ];
        for bad in bad.into_iter().chain(sizes) {
            assert_eq!(decode(bad), None);
        }
    }
}
