//! How much each project may send: requests a second by a token bucket, and bytes at once.
//!
//! Called by [`crate::listen`] once a request is known to be a project's, so that nobody uses up
//! what is another's. Invariant: what a project is refused or waits for costs no other anything.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use outflow_body::Room;
use outflow_model::ProjectId;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Bytes are given out in units of this many.
const UNIT_BYTES: usize = 1024;
/// How long a request may wait for room for its payload.
const ROOM_WAIT: Duration = Duration::from_secs(5);

/// The gates of all projects.
#[derive(Debug)]
pub struct Gates {
    per_second: f64,
    units: usize,
    /// By projects that exist: one gets here once a credential of it was accepted.
    gates: RwLock<HashMap<ProjectId, Arc<Gate>>>,
}

/// The gate of one project.
#[derive(Debug)]
pub struct Gate {
    per_second: f64,
    bucket: Mutex<Bucket>,
    room: Arc<Semaphore>,
}

/// Requests that may be made now, refilled evenly.
#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Gates {
    /// Gates that let `per_second` requests and `held_bytes` through, for each project.
    #[must_use]
    pub fn new(per_second: u32, held_bytes: usize) -> Self {
        let units = (held_bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        Self { per_second: f64::from(per_second.max(1)), units, gates: RwLock::default() }
    }

    /// The gate of a project.
    #[must_use]
    pub fn of(&self, project: &ProjectId) -> Arc<Gate> {
        if let Some(gate) = self.gates.read().get(project) {
            return gate.clone();
        }
        let fresh = || {
            Arc::new(Gate {
                per_second: self.per_second,
                bucket: Mutex::new(Bucket { level: self.per_second, at: Instant::now() }),
                room: Arc::new(Semaphore::new(self.units)),
            })
        };
        self.gates.write().entry(project.clone()).or_insert_with(fresh).clone()
    }
}

impl Gate {
    /// Takes one request's place, or says after how many whole seconds there is one.
    ///
    /// # Errors
    /// The seconds, at least 1.
    pub fn pass(&self) -> Result<(), u64> {
        let now = Instant::now();
        let mut bucket = self.bucket.lock();
        let grown = now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_second;
        bucket.level = (bucket.level + grown).min(self.per_second);
        bucket.at = now;
        if bucket.level >= 1.0 {
            bucket.level -= 1.0;
            return Ok(());
        }
        let wait = ((1.0 - bucket.level) / self.per_second).ceil();
        Err((wait as u64).max(1))
    }

    /// Room for one payload: none until it grows; given back when dropped.
    #[must_use]
    pub fn room(&self) -> Held {
        Held { room: self.room.clone(), bytes: 0, units: 0, permit: None }
    }
}

/// The room that one payload has.
///
/// Invariant: whoever has room does not wait for more: payloads that come slowly and together would all
/// wait for one another, and hold up the whole project until their time is over.
#[derive(Debug)]
pub struct Held {
    room: Arc<Semaphore>,
    bytes: usize,
    units: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Takes room for `bytes` more, which only the first ones wait for; says whether there was any.
    async fn take(&mut self, bytes: usize) -> Option<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        let more = self.bytes.div_ceil(UNIT_BYTES).saturating_sub(self.units);
        if more == 0 {
            return Some(());
        }
        let units = u32::try_from(more).ok()?;
        // The usual case needs no timer.
        let now = self.room.clone().try_acquire_many_owned(units).ok();
        match (now, &mut self.permit) {
            (Some(permit), Some(held)) => held.merge(permit),
            (Some(permit), none) => *none = Some(permit),
            (None, Some(_)) => return None,
            (None, none) => {
                let wait = self.room.clone().acquire_many_owned(units);
                *none = Some(tokio::time::timeout(ROOM_WAIT, wait).await.ok()?.ok()?);
            }
        }
        self.units += more;
        Some(())
    }
}

impl Room for Held {
    async fn grow(&mut self, bytes: usize) -> bool {
        self.take(bytes).await.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_project_has_its_requests_a_second_and_others_theirs() {
        let gates = Gates::new(10, 1 << 20);
        let project = |name| ProjectId::new(name).unwrap();
        let greedy = gates.of(&project("greedy"));
        let passed = (0..100).filter(|_| greedy.pass().is_ok()).count();
        assert_eq!((passed, greedy.pass()), (10, Err(1)));
        assert!(gates.of(&project("other")).pass().is_ok());
        assert!(gates.of(&project("greedy")).pass().is_err());
        tokio::time::advance(Duration::from_millis(250)).await;
        let passed = (0..100).filter(|_| greedy.pass().is_ok()).count();
        assert_eq!(passed, 2);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!((0..100).filter(|_| greedy.pass().is_ok()).count(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn room_is_given_back() {
        let gate = Gates::new(1, 4 << 10).of(&ProjectId::new("acme").unwrap());
        let (mut first, mut second) = (gate.room(), gate.room());
        for _ in 0..1000 {
            assert!(first.grow(4).await, "bytes are counted, not pieces");
        }
        assert!(first.grow(96).await && !second.grow(1).await);
        drop(first);
        assert!(gate.room().grow(4 << 10).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_room_does_not_wait_for_more() {
        let gate = Gates::new(1, 4 << 10).of(&ProjectId::new("acme").unwrap());
        let (mut first, mut second) = (gate.room(), gate.room());
        assert!(first.grow(2 << 10).await && second.grow(2 << 10).await);
        let begun = Instant::now();
        assert!(!first.grow(1).await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        // Who has none waits for what another gives back.
        let mut third = gate.room();
        let (grown, ()) = tokio::join!(third.grow(1), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(second);
        });
        assert!(grown);
    }
}
