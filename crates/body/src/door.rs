//! The room that bodies on their way in take, over all requests and for each project.
//!
//! Made by `server`, once for publishing and mailboxes together, which call it before they read a
//! body and while they do, and once for the small bodies of requests that configure, ask for a stream
//! or for a token. Invariants: what is held stays within what the door was made with, whatever
//! bodies expand to; one project holds at most its share, so that a tenant who announces large bodies and never
//! sends them keeps out nobody but itself; whoever has room does not wait for more; what a project
//! costs is gone when it holds nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::{BodyError, Encoding, Room};

/// How much a compressed body is expected to grow; what grows more gets more room if there is any.
const EXPECTED_GROWTH: u64 = 32;
/// Room is given out in units of this many bytes.
const ROOM_UNIT: u64 = 1024;
/// How long a request may wait for room before it is told to come again.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// A project may hold this part of all the room, or one body if that is more.
const PROJECT_PART: usize = 4;
/// From how many entries on those of idle projects are looked for.
const MIN_SHARES: usize = 64;

/// The way in: the room that is left for bodies.
#[derive(Debug)]
pub struct Door {
    room: Arc<Semaphore>,
    share_units: usize,
    shares: Mutex<Shares>,
}

/// The shares of projects that hold room or wait for it, and of some that did.
#[derive(Debug)]
struct Shares {
    /// By name of projects that exist: a name gets here after its caller was let in.
    by_project: HashMap<String, Arc<Semaphore>>,
    /// How many there are when idle ones are dropped.
    most: usize,
}

/// Room for one body, given back when dropped.
#[derive(Debug)]
pub struct Held {
    /// The project's, and all.
    from: [Arc<Semaphore>; 2],
    permits: Option<Permits>,
    /// What has come of the body, decoded.
    bytes: u64,
}

/// Of the project's share, and of all the room: as many of each.
#[derive(Debug)]
struct Permits(OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Room for Held {
    async fn grow(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        let held = self.permits.as_ref().map_or(0, |held| held.1.num_permits()) as u64;
        let more = self.bytes.div_ceil(ROOM_UNIT).saturating_sub(held);
        if more == 0 {
            return true;
        }
        let Ok(more) = u32::try_from(more) else { return false };
        let [share, room] = &self.from;
        let Some(taken) = Permits::now(share, room, more) else { return false };
        match &mut self.permits {
            Some(held) => {
                held.0.merge(taken.0);
                held.1.merge(taken.1);
            }
            none => *none = Some(taken),
        }
        true
    }
}

impl Permits {
    /// So many units, if they are there.
    fn now(share: &Arc<Semaphore>, room: &Arc<Semaphore>, units: u32) -> Option<Self> {
        let take = |part: &Arc<Semaphore>| part.clone().try_acquire_many_owned(units).ok();
        take(share).zip(take(room)).map(|(share, room)| Self(share, room))
    }
}

impl Door {
    /// A door where nothing is held yet: bodies of `held_bytes` may be at once, raised to
    /// `body_bytes`, the largest that any who comes may send.
    #[must_use]
    pub fn new(held_bytes: usize, body_bytes: usize) -> Self {
        let held = held_bytes.max(body_bytes);
        let share_units = units_of((held / PROJECT_PART).max(body_bytes));
        let room = Arc::new(Semaphore::new(units_of(held)));
        let shares = Shares { by_project: HashMap::new(), most: MIN_SHARES };
        Self { room, share_units, shares: Mutex::new(shares) }
    }

    /// Waits for room for a body of `sent` bytes, if the client said, and of at most `limit`
    /// decoded, in order of arrival. Until then nothing of it is read, so TCP holds the client back.
    ///
    /// # Errors
    /// [`BodyError::NoRoom`] when there is none within five seconds.
    pub async fn room(
        &self,
        project: &str,
        sent: Option<u64>,
        encoding: Encoding,
        limit: usize,
    ) -> Result<Held, BodyError> {
        let limit = limit as u64;
        let expected = match (sent, encoding) {
            (Some(bytes), Encoding::Identity) => bytes,
            (Some(bytes), Encoding::Gzip | Encoding::Zstd) => bytes.saturating_mul(EXPECTED_GROWTH),
            (None, _) => limit,
        };
        let units = u32::try_from(expected.min(limit).div_ceil(ROOM_UNIT)).unwrap_or(u32::MAX);
        let share = self.share(project);
        // The usual case needs no timer.
        let permits = match Permits::now(&share, &self.room, units) {
            Some(permits) => permits,
            None => match tokio::time::timeout(ROOM_WAIT, self.wait(&share, units)).await {
                Ok(Ok(permits)) => permits,
                Ok(Err(_)) | Err(_) => return Err(BodyError::NoRoom),
            },
        };
        Ok(Held { from: [share, self.room.clone()], permits: Some(permits), bytes: 0 })
    }

    /// No room yet, for a body that takes it as it comes and waits for none: a small one, of whoever
    /// it may be. What many announce and do not send keeps nobody out.
    #[must_use]
    pub fn growing(&self, project: &str) -> Held {
        Held { from: [self.share(project), self.room.clone()], permits: None, bytes: 0 }
    }

    /// The project's own share first: who waits for it takes no room from others meanwhile.
    async fn wait(&self, share: &Arc<Semaphore>, units: u32) -> Result<Permits, AcquireError> {
        let share = share.clone().acquire_many_owned(units).await?;
        Ok(Permits(share, self.room.clone().acquire_many_owned(units).await?))
    }

    fn share(&self, project: &str) -> Arc<Semaphore> {
        let mut shares = self.shares.lock();
        if let Some(share) = shares.by_project.get(project) {
            return share.clone();
        }
        if shares.by_project.len() >= shares.most {
            shares.drop_idle();
        }
        let share = Arc::new(Semaphore::new(self.share_units));
        shares.by_project.insert(project.to_owned(), share.clone());
        share
    }
}

impl Shares {
    /// Drops the shares of which nobody has or awaits anything. Whoever does has the share as well,
    /// and gets it only from here, under the lock.
    fn drop_idle(&mut self) {
        self.by_project.retain(|_, share| Arc::strong_count(share) > 1);
        // By doubling, so that each entry that is made pays for the looking at two.
        self.most = (self.by_project.len() * 2).max(MIN_SHARES);
    }
}

fn units_of(bytes: usize) -> usize {
    let units = (bytes as u64).div_ceil(ROOM_UNIT);
    usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: usize = 1 << 20;

    async fn held(door: &Door, project: &str, bytes: u64) -> Result<Held, BodyError> {
        door.room(project, Some(bytes), Encoding::Identity, BODY).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_project_that_announces_much_keeps_out_only_itself() {
        let door = Door::new(8 * BODY, BODY);
        let mut greedy = Vec::new();
        while let Ok(room) = held(&door, "greedy", BODY as u64).await {
            greedy.push(room);
        }
        assert_eq!(greedy.len(), 2);
        assert!(held(&door, "other", BODY as u64).await.is_ok());
        // What expands gets more as long as there is any, and does not wait for it.
        greedy.pop();
        let mut small = door.room("greedy", Some(1 << 10), Encoding::Gzip, BODY).await.unwrap();
        assert!(small.grow(BODY).await && !small.grow(1).await);
        drop(small);
        greedy.clear();
        assert!(held(&door, "greedy", BODY as u64).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn projects_that_come_and_go_leave_nothing_behind_and_those_that_hold_stay_bounded() {
        let door = Door::new(8 * BODY, BODY);
        let kept = held(&door, "greedy", 2 * BODY as u64).await.unwrap();
        let more = held(&door, "greedy", BODY as u64).await.unwrap();
        for number in 0..10 * MIN_SHARES {
            drop(held(&door, &format!("p{number}"), 1).await.unwrap());
            assert!(door.shares.lock().by_project.len() <= MIN_SHARES);
        }
        assert_eq!(held(&door, "greedy", BODY as u64).await.unwrap_err(), BodyError::NoRoom);
        drop((kept, more));
        assert!(held(&door, "greedy", BODY as u64).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_grows_takes_what_came_and_waits_for_nothing() {
        let door = Door::new(8 * BODY, BODY);
        let mut many: Vec<_> = (0..1_000).map(|_| door.growing("p")).collect();
        assert!(many[0].grow(BODY).await && many[1].grow(BODY).await && !many[2].grow(1).await);
        let mut other = door.growing("other");
        assert!(other.grow(BODY).await);
        drop(many.remove(0));
        assert!(many[5].grow(BODY).await);
    }
}
