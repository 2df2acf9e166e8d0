//! Which parts of what an endpoint refused were made to be sent again already.
//!
//! Written by [`change`](super::change) when they were, read by [`look`](super::look) for the next time: what an
//! endpoint has taken since it refused it stays parked, and is no failure any more. What it refuses
//! again is parked again, further on.
//!
//! Invariants: it is written after the place was moved and forgotten before what waits is skipped, so that no
//! crash leaves an event unsent and left out; it is as short as [`MAX`] says: what it does not know is sent
//! once more.

use bytes::Bytes;
use outflow_model::Offset;
use outflow_store::{Condition, Op, Put};
use serde::{Deserialize, Serialize};

use super::WebhookId;
use crate::CatalogError;
use crate::catalog::change::{commit, unavailable};
use crate::hub::Inner;

/// The version written; a newer one is not read.
const VERSION: u32 = 1;
/// How many stretches are known at most: the latest.
const MAX: usize = 32;

/// Stretches of the stream of what an endpoint refused, in order, with gaps between them. See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stretches(Vec<(Offset, Offset)>);

#[derive(Serialize, Deserialize)]
struct Record {
    v: u32,
    stretches: Vec<(u64, u64)>,
}

impl Stretches {
    /// Whether what was parked there was sent again since.
    pub(super) fn contains(&self, at: Offset) -> bool {
        self.0.iter().any(|(from, end)| (*from..*end).contains(&at))
    }

    /// All from there to before there was sent again.
    fn add(&mut self, mut from: Offset, mut end: Offset) {
        if from >= end {
            return;
        }
        self.0.retain(|&(other, others_end)| {
            let is_apart = others_end < from || end < other;
            if !is_apart {
                (from, end) = (from.min(other), end.max(others_end));
            }
            is_apart
        });
        let at = self.0.partition_point(|(other, _)| *other < from);
        self.0.insert(at, (from, end));
        let excess = self.0.len().saturating_sub(MAX);
        self.0.drain(..excess);
    }

    fn encode(&self) -> Option<Bytes> {
        let stretches = self.0.iter().map(|(from, end)| (from.get(), end.get())).collect();
        // A plain struct of numbers: writing it cannot fail.
        serde_json::to_vec(&Record { v: VERSION, stretches }).ok().map(Bytes::from)
    }

    /// What is stored; nothing where that is of a newer version, or damaged.
    fn decode(value: &[u8]) -> Self {
        let record: Option<Record> = serde_json::from_slice(value).ok();
        let mut read = Self::default();
        for (from, end) in
            record.filter(|one| one.v <= VERSION).map_or(Vec::new(), |one| one.stretches)
        {
            if end <= Offset::LAST.get() {
                read.add(Offset::new(from), Offset::new(end));
            }
        }
        read
    }
}

fn key(id: &WebhookId) -> Bytes {
    ["webhook-recovered/", id.0.as_str(), "/", id.1.as_str()].concat().into()
}

/// What is known of an endpoint.
pub(super) async fn read(inner: &Inner, id: &WebhookId) -> Result<Stretches, CatalogError> {
    let entry = inner.engine.get(&key(id)).await.map_err(unavailable)?;
    Ok(entry.map(|entry| Stretches::decode(&entry.value)).unwrap_or_default())
}

/// What was parked from there to before there is sent again. Called in turn with other changes.
pub(super) async fn add(
    inner: &Inner,
    id: &WebhookId,
    (from, end): (Offset, Offset),
) -> Result<(), CatalogError> {
    let mut known = read(inner, id).await?;
    known.add(from, end);
    let put = Put { key: key(id), value: known.encode(), condition: Condition::Any };
    commit(inner, vec![Op::Put(put)]).await
}

/// What waits to be sent again may be skipped: all that is parked may be sent again from now on.
pub(super) async fn forget(inner: &Inner, id: &WebhookId) -> Result<(), CatalogError> {
    match inner.engine.get(&key(id)).await.map_err(unavailable)? {
        Some(_) => commit(inner, vec![forgetting(id)]).await,
        None => Ok(()),
    }
}

/// What removes what is known of an endpoint.
pub(super) fn forgetting(id: &WebhookId) -> Op {
    Op::Put(Put { key: key(id), value: None, condition: Condition::Any })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(stretches: &[(u64, u64)]) -> Stretches {
        let mut known = Stretches::default();
        for (from, end) in stretches {
            known.add(Offset::new(*from), Offset::new(*end));
        }
        known
    }

    #[test]
    fn stretches_that_touch_are_one_and_the_latest_are_kept() {
        assert_eq!(known(&[(5, 7), (1, 2), (7, 9), (3, 3)]), known(&[(1, 2), (5, 9)]));
        assert_eq!(known(&[(1, 2), (4, 6), (8, 9), (2, 8)]).0.len(), 1);
        let some = known(&[(1, 3), (5, 6)]);
        let there = (0..8).filter(|at| some.contains(Offset::new(*at)));
        assert_eq!(there.collect::<Vec<_>>(), [1, 2, 5]);
        let many: Vec<(u64, u64)> = (0..100).map(|at| (at * 10, at * 10 + 1)).collect();
        let many = known(&many);
        assert_eq!((many.0.len(), many.contains(Offset::new(990))), (MAX, true));
        assert!(!many.contains(Offset::new(0)));
    }

    #[test]
    fn what_is_stored_comes_back_and_what_cannot_be_read_is_nothing() {
        let some = known(&[(1, 3), (5, 6)]);
        assert_eq!(Stretches::decode(&some.encode().unwrap()), some);
        for bad in ["", "{", r#"{"v":2,"stretches":[[1,2]]}"#, r#"{"v":1,"stretches":[[2,1]]}"#] {
            assert_eq!(Stretches::decode(bad.as_bytes()), Stretches::default(), "{bad}");
        }
        let beyond = format!(r#"{{"v":1,"stretches":[[1,{}]]}}"#, u64::MAX);
        assert_eq!(Stretches::decode(beyond.as_bytes()), Stretches::default());
    }
}
