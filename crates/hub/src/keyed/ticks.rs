//! The ticks of a project: one row of numbers over all its keyed streams.
//!
//! Called by `publish` under a stream's lock. Ticks are reserved a million at a time: the batch that
//! needs a tick above what is reserved carries the new ceiling, and so does every further one until
//! that is known to be stored. A restart goes on above the ceiling, so none is ever used twice.
//! Whoever takes ticks with a ceiling holds the row until the batch is queued: were two streams to
//! queue theirs in another order than they took them, the lower ceiling would be stored last.
//!
//! Invariant: as ticks grow, the time that goes with them never falls.

use std::sync::Arc;

use bytes::Bytes;
use outflow_model::{ProjectId, Tick, Timestamp};
use outflow_store::{Condition, Op, Put, ReadError};
use parking_lot::{Mutex, MutexGuard};

use crate::hub::Inner;
use crate::{PublishError, publish};

/// How many are reserved at once.
const RESERVED: u64 = 1_000_000;
/// Where ceilings are in the engine's state. They stay when their project goes, as the ends of its
/// streams do: a project of the same name goes on above them.
const TICKS: &[u8] = b"keyed/ticks/";

/// See the module.
#[derive(Debug)]
pub(crate) struct Ticks {
    key: Bytes,
    /// Held by whoever reads the ceiling.
    loading: tokio::sync::Mutex<()>,
    row: Mutex<Option<Row>>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    next: Tick,
    last: Timestamp,
    /// The ceiling known to be stored: ticks below it need no put.
    reserved: Tick,
}

/// Ticks that were taken. Kept until the batch that they are for is queued.
pub(crate) struct Taken<'a> {
    pub(crate) first: Tick,
    /// The time that goes with them.
    pub(crate) now: Timestamp,
    /// What must be stored with them, and the ceiling to confirm then.
    pub(crate) ceiling: Option<(Op, Tick)>,
    /// The row, when there is a ceiling.
    _row: Option<MutexGuard<'a, Option<Row>>>,
}

impl Ticks {
    pub(crate) fn new(project: &ProjectId) -> Arc<Self> {
        let key = [TICKS, project.as_str().as_bytes()].concat().into();
        Arc::new(Self { key, loading: tokio::sync::Mutex::default(), row: Mutex::default() })
    }

    /// Whether the ceiling was read.
    pub(crate) fn is_ready(&self) -> bool {
        self.row.lock().is_some()
    }

    /// Takes `count` ticks at `now` or later; `None` when there are no more, or none was read.
    pub(crate) fn take(&self, count: u64, now: Timestamp) -> Option<Taken<'_>> {
        let mut guard = self.row.lock();
        let row = guard.as_mut()?;
        let (first, next) = (row.next, row.next.plus(count)?);
        let now = now.max(row.last);
        (row.next, row.last) = (next, now);
        let ceiling = (next > row.reserved).then(|| {
            let ceiling = next.plus(RESERVED).unwrap_or(Tick::LAST);
            let value = Some(Bytes::copy_from_slice(&ceiling.get().to_le_bytes()));
            (Op::Put(Put { key: self.key.clone(), value, condition: Condition::Any }), ceiling)
        });
        let _row = ceiling.is_some().then_some(guard);
        Some(Taken { first, now, ceiling, _row })
    }

    /// Notes that a ceiling is stored.
    pub(crate) fn confirm(&self, ceiling: Tick) {
        if let Some(row) = self.row.lock().as_mut() {
            row.reserved = row.reserved.max(ceiling);
        }
    }

    /// Reads the ceiling, and when the last event of the project's keyed streams was taken.
    pub(crate) async fn prepare(
        &self,
        inner: &Inner,
        project: &ProjectId,
    ) -> Result<(), PublishError> {
        let _turn = self.loading.lock().await;
        if self.is_ready() {
            return Ok(());
        }
        let failed = |error: String| PublishError::Unavailable(error);
        let entry = inner.engine.get(&self.key).await.map_err(|error| failed(error.to_string()))?;
        let next = match entry {
            None => Tick::FIRST,
            Some(entry) => {
                let raw = entry.value.as_ref().try_into().map(u64::from_le_bytes).ok();
                let unread = || failed("the ceiling of the project's ticks cannot be read".into());
                raw.and_then(Tick::new).ok_or_else(unread)?
            }
        };
        let streams = inner.catalog.read().tenants.get(project).map(|tenant| {
            let keyed = tenant.streams.values().filter(|one| one.settings.entities.is_some());
            keyed.cloned().collect::<Vec<_>>()
        });
        let mut last = Timestamp::default();
        for stream in streams.into_iter().flatten() {
            let unread = |error: ReadError| failed(error.to_string());
            last = last.max(publish::last_taken(inner, &stream).await.map_err(unread)?);
        }
        *self.row.lock() = Some(Row { next, last, reserved: next });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the engine has, as a crash would leave it.
    #[derive(Default)]
    struct Disk {
        ceiling: u64,
        highest: u64,
    }

    #[test]
    fn no_crash_leaves_a_ceiling_below_a_tick_that_was_queued() {
        const PUBLISHERS: usize = 4;
        const BATCHES: u64 = 2_000;
        let ticks = Ticks::new(&ProjectId::new("p").unwrap());
        let row = Row { next: Tick::FIRST, last: Timestamp::default(), reserved: Tick::FIRST };
        *ticks.row.lock() = Some(row);
        let disk = Mutex::new(Disk::default());
        let publish = || {
            for batch in 0..BATCHES {
                let count = 1 + batch * 7_919 % 500_000;
                let taken = ticks.take(count, Timestamp::default()).unwrap();
                std::thread::yield_now();
                let mut now = disk.lock();
                let ceiling = taken.ceiling.as_ref().map(|(op, ceiling)| match op {
                    Op::Put(put) => {
                        let value = put.value.as_deref().unwrap().try_into().unwrap();
                        now.ceiling = u64::from_le_bytes(value);
                        *ceiling
                    }
                    other => panic!("{other:?}"),
                });
                now.highest = now.highest.max(taken.first.get() + count - 1);
                assert!(now.highest < now.ceiling, "{} and {}", now.highest, now.ceiling);
                drop((now, taken));
                std::thread::yield_now();
                ceiling.into_iter().for_each(|ceiling| ticks.confirm(ceiling));
            }
        };
        std::thread::scope(|scope| {
            (0..PUBLISHERS).for_each(|_| drop(scope.spawn(publish)));
        });
    }
}
