//! The room that bodies being published take, over all requests and for each project.
//!
//! Called by the publish route before it reads a body, and while it does. Invariants: what is held
//! stays within [`Limits::held_bytes`], whatever bodies expand to; one project holds at most its share,
//! so that a tenant who announces large bodies and never sends them keeps out nobody but itself;
//! whoever has room does not wait for more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use outflow_body::{Encoding, Room};
use outflow_model::ErrorCode;
use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::error::Refusal;

/// How much a compressed body is expected to grow; what grows more gets more room if there is any.
const EXPECTED_GROWTH: u64 = 32;
/// Room is given out in units of this many bytes.
const ROOM_UNIT: u64 = 1024;
/// How long a request may wait for room before it is told to come again.
const ROOM_WAIT: Duration = Duration::from_secs(5);
/// A project may hold this part of all the room, or one body if that is more.
const PROJECT_PART: usize = 4;

/// The way in: limits, and the room that is left for bodies.
#[derive(Debug)]
pub struct Door {
    limits: Limits,
    room: Arc<Semaphore>,
    share_units: usize,
    /// By name of projects that exist: a name gets here after its caller was let in.
    shares: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Room for one body, given back when dropped.
#[derive(Debug)]
pub struct Held {
    share: OwnedSemaphorePermit,
    room: OwnedSemaphorePermit,
    /// What has come of the body, decoded.
    bytes: u64,
}

impl Room for Held {
    async fn grow(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        let held = self.room.num_permits() as u64;
        let more = self.bytes.div_ceil(ROOM_UNIT).saturating_sub(held);
        if more == 0 {
            return true;
        }
        let Ok(more) = u32::try_from(more) else { return false };
        let take = |part: &OwnedSemaphorePermit| {
            part.semaphore().clone().try_acquire_many_owned(more).ok()
        };
        let Some((share, room)) = take(&self.share).zip(take(&self.room)) else { return false };
        self.share.merge(share);
        self.room.merge(room);
        true
    }
}

impl Door {
    /// A door where nothing is held yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let limits = Limits { body_bytes: limits.body_bytes.clamp(1, 1 << 30), ..limits };
        let held = limits.held_bytes.max(limits.body_bytes);
        let share_units = units_of((held / PROJECT_PART).max(limits.body_bytes));
        let room = Arc::new(Semaphore::new(units_of(held)));
        Self { limits, room, share_units, shares: Mutex::default() }
    }

    /// What bounds it.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Waits for room for a body of `sent` bytes, if the client said, in order of arrival. Until
    /// then nothing of it is read, so TCP holds the client back.
    ///
    /// # Errors
    /// 503 when there is no room within five seconds.
    pub async fn room(
        &self,
        project: &str,
        sent: Option<u64>,
        encoding: Encoding,
    ) -> Result<Held, Refusal> {
        let limit = self.limits.body_bytes as u64;
        let expected = match (sent, encoding) {
            (Some(bytes), Encoding::Identity) => bytes,
            (Some(bytes), Encoding::Gzip | Encoding::Zstd) => bytes.saturating_mul(EXPECTED_GROWTH),
            (None, _) => limit,
        };
        let units = u32::try_from(expected.min(limit).div_ceil(ROOM_UNIT)).unwrap_or(u32::MAX);
        let share = self.share(project);
        // The usual case needs no timer.
        if let Ok(share) = share.clone().try_acquire_many_owned(units)
            && let Ok(room) = self.room.clone().try_acquire_many_owned(units)
        {
            return Ok(Held { share, room, bytes: 0 });
        }
        match tokio::time::timeout(ROOM_WAIT, self.wait(share, units)).await {
            Ok(Ok(held)) => Ok(held),
            Ok(Err(_)) | Err(_) => Err(Refusal::new(
                ErrorCode::Unavailable,
                "too much is being published just now; try again",
            )),
        }
    }

    /// The project's own share first: who waits for it takes no room from others meanwhile.
    async fn wait(&self, share: Arc<Semaphore>, units: u32) -> Result<Held, AcquireError> {
        let share = share.acquire_many_owned(units).await?;
        let room = self.room.clone().acquire_many_owned(units).await?;
        Ok(Held { share, room, bytes: 0 })
    }

    fn share(&self, project: &str) -> Arc<Semaphore> {
        let mut shares = self.shares.lock();
        if let Some(share) = shares.get(project) {
            return share.clone();
        }
        let share = Arc::new(Semaphore::new(self.share_units));
        shares.insert(project.to_owned(), share.clone());
        share
    }
}

fn units_of(bytes: usize) -> usize {
    let units = (bytes as u64).div_ceil(ROOM_UNIT);
    usize::try_from(units).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_project_that_announces_much_keeps_out_only_itself() {
        let limits = Limits { body_bytes: 1 << 20, held_bytes: 8 << 20, ..Limits::default() };
        let door = Door::new(limits);
        let announced = Some(1 << 20);
        let mut held = Vec::new();
        while let Ok(room) = door.room("greedy", announced, Encoding::Identity).await {
            held.push(room);
        }
        assert_eq!(held.len(), 2);
        assert!(door.room("other", announced, Encoding::Identity).await.is_ok());
        // What expands gets more as long as there is any, and does not wait for it.
        held.pop();
        let mut small = door.room("greedy", Some(1 << 10), Encoding::Gzip).await.unwrap();
        assert!(small.grow(1 << 20).await && !small.grow(1).await);
        drop(small);
        held.clear();
        assert!(door.room("greedy", announced, Encoding::Identity).await.is_ok());
    }
}
