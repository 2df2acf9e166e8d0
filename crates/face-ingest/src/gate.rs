//! How much each project may send: requests a second by a token bucket, and bytes at once; and how
//! many bytes all may.
//!
//! Called by [`crate::listen`] once a request is known to be a project's, so that nobody uses up
//! what is another's. Invariants: what a project is refused or waits for costs no other anything; a
//! project that sends nothing costs nothing; what all hold together is bounded, of which one project
//! has a quarter at most.

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
/// A project may hold this part of all the room.
const PROJECT_PART: usize = 4;
/// From how many gates on those of idle projects are looked for.
const MIN_GATES: usize = 64;

/// The gates of all projects.
#[derive(Debug)]
pub struct Gates {
    per_second: f64,
    /// The room of one project, in units.
    units: usize,
    /// The room of all.
    all: Arc<Semaphore>,
    used: RwLock<Used>,
}

/// The gates that are used, and some that were.
#[derive(Debug)]
struct Used {
    /// By projects that exist: one gets here once a credential of it was accepted.
    by_project: HashMap<ProjectId, Arc<Gate>>,
    /// How many there are when idle ones are dropped.
    most: usize,
}

/// The gate of one project.
#[derive(Debug)]
pub struct Gate {
    per_second: f64,
    bucket: Mutex<Bucket>,
    room: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

/// Requests that may be made now, refilled evenly.
#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Gates {
    /// Gates that let `per_second` requests of each project through, and `held_bytes` of all. A
    /// payload has at most `payload_bytes`: there is room for one of each project, at least.
    #[must_use]
    pub fn new(per_second: u32, held_bytes: usize, payload_bytes: usize) -> Self {
        let units = |bytes: usize| bytes.div_ceil(UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS);
        let used = Used { by_project: HashMap::new(), most: MIN_GATES };
        Self {
            per_second: f64::from(per_second.max(1)),
            units: units((held_bytes / PROJECT_PART).max(payload_bytes)),
            all: Arc::new(Semaphore::new(units(held_bytes.max(payload_bytes)))),
            used: RwLock::new(used),
        }
    }

    /// The gate of a project.
    #[must_use]
    pub fn of(&self, project: &ProjectId) -> Arc<Gate> {
        if let Some(gate) = self.used.read().by_project.get(project) {
            return gate.clone();
        }
        let now = Instant::now();
        let fresh = || {
            Arc::new(Gate {
                per_second: self.per_second,
                bucket: Mutex::new(Bucket { level: self.per_second, at: now }),
                room: Arc::new(Semaphore::new(self.units)),
                all: self.all.clone(),
            })
        };
        let mut used = self.used.write();
        if used.by_project.len() >= used.most {
            used.drop_idle(now);
        }
        used.by_project.entry(project.clone()).or_insert_with(fresh).clone()
    }
}

impl Used {
    /// Drops the gates that are as new ones are: of which nobody has anything, and whose requests are
    /// refilled. Whoever gets a gate gets it from here, under the lock.
    fn drop_idle(&mut self, now: Instant) {
        self.by_project.retain(|_, gate| {
            let is_held = Arc::strong_count(gate) > 1 || Arc::strong_count(&gate.room) > 1;
            is_held || gate.level(&gate.bucket.lock(), now) < gate.per_second
        });
        // By doubling, so that each gate that is made pays for the looking at two.
        self.most = (self.by_project.len() * 2).max(MIN_GATES);
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
        bucket.level = self.level(&bucket, now);
        bucket.at = now;
        if bucket.level >= 1.0 {
            bucket.level -= 1.0;
            return Ok(());
        }
        let wait = ((1.0 - bucket.level) / self.per_second).ceil();
        Err((wait as u64).max(1))
    }

    /// How many requests may be made at `now`.
    fn level(&self, bucket: &Bucket, now: Instant) -> f64 {
        let grown = now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_second;
        (bucket.level + grown).min(self.per_second)
    }

    /// Room for one payload: none until it grows; given back when dropped.
    #[must_use]
    pub fn room(&self) -> Held {
        let (room, all) = (self.room.clone(), self.all.clone());
        Held { room, all, bytes: 0, units: 0, permits: None }
    }
}

/// The room that one payload has.
///
/// Invariant: whoever has room does not wait for more: payloads that come slowly and together would all
/// wait for one another, and hold up the whole project until their time is over.
#[derive(Debug)]
pub struct Held {
    room: Arc<Semaphore>,
    all: Arc<Semaphore>,
    bytes: usize,
    units: usize,
    permits: Option<Permits>,
}

/// Of the project's room, and of all the room.
#[derive(Debug)]
struct Permits(OwnedSemaphorePermit, OwnedSemaphorePermit);

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
        let now = |room: &Arc<Semaphore>| room.clone().try_acquire_many_owned(units).ok();
        match (now(&self.room).zip(now(&self.all)), &mut self.permits) {
            (Some((own, all)), Some(held)) => {
                held.0.merge(own);
                held.1.merge(all);
            }
            (Some((own, all)), none) => *none = Some(Permits(own, all)),
            (None, Some(_)) => return None,
            (None, none) => {
                // The project's own first: who waits for it takes no room from others meanwhile.
                let wait = async {
                    let own = self.room.clone().acquire_many_owned(units).await.ok()?;
                    let all = self.all.clone().acquire_many_owned(units).await.ok()?;
                    Some(Permits(own, all))
                };
                *none = Some(tokio::time::timeout(ROOM_WAIT, wait).await.ok()??);
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
        let gates = Gates::new(10, 4 << 20, 1);
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
    async fn projects_that_come_and_go_leave_nothing_behind_and_those_that_send_stay_bounded() {
        let gates = Gates::new(10, 16 << 10, 1);
        let project = |name: &str| ProjectId::new(name).unwrap();
        let (greedy, hasty) = (project("greedy"), project("hasty"));
        let mut held = gates.of(&greedy).room();
        assert!(held.grow(4 << 10).await);
        let come_and_go = || {
            for number in 0..10 * MIN_GATES {
                let _ = gates.of(&project(&format!("p{number}")));
                assert!(gates.used.read().by_project.len() <= MIN_GATES);
            }
        };
        while gates.of(&hasty).pass().is_ok() {}
        come_and_go();
        assert!(gates.of(&hasty).pass().is_err(), "its requests are not refilled yet");
        assert!(!gates.of(&greedy).room().grow(1).await, "its room is not given back yet");
        drop(held);
        tokio::time::advance(Duration::from_secs(1)).await;
        come_and_go();
        assert!(gates.of(&hasty).pass().is_ok());
        assert!(gates.of(&greedy).room().grow(4 << 10).await);
    }

    #[tokio::test(start_paused = true)]
    async fn room_is_given_back() {
        let gate = Gates::new(1, 16 << 10, 1).of(&ProjectId::new("acme").unwrap());
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
        let gate = Gates::new(1, 16 << 10, 1).of(&ProjectId::new("acme").unwrap());
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

    #[tokio::test(start_paused = true)]
    async fn all_projects_together_are_bounded() {
        let gates = Gates::new(1, 16 << 10, 1);
        let gate = |n: usize| gates.of(&ProjectId::new(&format!("p{n}")).unwrap());
        let mut held = Vec::new();
        for n in 0..4 {
            let mut room = gate(n).room();
            assert!(room.grow(4 << 10).await);
            held.push(room);
        }
        // There is no room, and none comes for as long as one may wait.
        let begun = Instant::now();
        assert!(!gate(4).room().grow(1).await);
        assert_eq!(begun.elapsed(), ROOM_WAIT);
        held.pop();
        let mut room = gate(4).room();
        assert!(room.grow(3 << 10).await && gate(5).room().grow(1 << 10).await);
        // What waited in vain holds nothing: the project has its whole room.
        assert!(room.grow(1 << 10).await && !room.grow(1).await);
    }
}
