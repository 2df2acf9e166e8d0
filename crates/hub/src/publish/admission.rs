//! Who may publish, and when there is room for what they bring.
//!
//! Called by [`super`] and by whoever queues batches of its own, before any lock is taken.
//!
//! Invariants: what is on its way stays within `inflight_bytes`; of publishes one project has at most
//! its share on its way, or one batch if that is larger, and of such batches there is one at once: so
//! a publish waits for those of other projects only where these fill the room between them.

use std::collections::HashMap;
use std::sync::Arc;

use outflow_model::{Action, Draft, Grant, ProjectId};
use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::hub::{Denied, Inner, reach};
use crate::{Hub, PublishError, Receipt, Stream};

/// A project may have this part of the room on its way.
const PROJECT_PART: usize = 4;
/// From how many entries on those of idle projects are looked for.
const MIN_SHARES: usize = 64;

impl From<Denied> for PublishError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotFound => Self::NotFound,
            Denied::Forbidden => Self::Forbidden,
        }
    }
}

/// Whether the holder of `grant` may publish to the stream by the way that all faces share.
///
/// # Errors
/// [`PublishError::Ingest`] besides the usual: whatever comes to an ingest stream by another way
/// would pass by its kind of payload and its mode.
pub(crate) fn may_publish(grant: &Grant, stream: &Stream) -> Result<(), PublishError> {
    reach(grant, Action::Publish, stream)?;
    if stream.settings.ingest.is_some() { Err(PublishError::Ingest) } else { Ok(()) }
}

/// The shares of all projects.
#[derive(Debug)]
pub(crate) struct Shares {
    /// Who publishes more than a share at once: one.
    large: Arc<Semaphore>,
    bytes: usize,
    by_project: Mutex<HashMap<ProjectId, Arc<Semaphore>>>,
}

impl Shares {
    /// The shares of a room of so many bytes.
    pub(crate) fn new(room: usize) -> Self {
        let bytes = (room / PROJECT_PART).max(1);
        Self { large: Arc::new(Semaphore::new(1)), bytes, by_project: Mutex::default() }
    }

    /// The project's. Its streams keep it, so that it is looked up once for each of them.
    fn of(&self, stream: &Stream) -> Arc<Semaphore> {
        let share = stream.lane.share.get_or_init(|| {
            let mut shares = self.by_project.lock();
            if let Some(share) = shares.get(&stream.project) {
                return share.clone();
            }
            if shares.len() >= MIN_SHARES && shares.len().is_power_of_two() {
                shares.retain(|_, share| Arc::strong_count(share) > 1);
            }
            let share = Arc::new(Semaphore::new(self.bytes));
            shares.insert(stream.project.clone(), share.clone());
            share
        });
        share.clone()
    }
}

/// Room for one publish, given back when dropped.
#[derive(Debug)]
pub struct PublishRoom {
    /// Of the room for all.
    pub(super) room: OwnedSemaphorePermit,
    share: OwnedSemaphorePermit,
    large: Option<OwnedSemaphorePermit>,
}

impl PublishRoom {
    /// Gives back what is beyond `bytes`, and all of it if it is less.
    pub(super) fn fit(mut self, bytes: usize) -> Option<Self> {
        let rest = self.room.num_permits().checked_sub(bytes)?;
        drop(self.room.split(rest));
        let rest = self.share.num_permits().saturating_sub(bytes);
        drop(self.share.split(rest));
        if rest > 0 {
            // Less than a share after all.
            self.large = None;
        }
        Some(self)
    }
}

impl Hub {
    /// Waits, for a while, for room for a draft of at most `bytes`, so that it is there before the
    /// draft is. What can never be there at once is given all the room: whether the draft is too large
    /// [`Hub::publish_within`] says.
    ///
    /// # Errors
    /// [`PublishError::Unavailable`] when it does not come in time.
    pub async fn room_for(
        &self,
        stream: &Stream,
        bytes: usize,
    ) -> Result<PublishRoom, PublishError> {
        room_for(&self.inner, stream, bytes.min(self.inner.options.room())).await
    }

    /// As [`Hub::publish`], of a draft that `room` was asked for.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_within(
        &self,
        room: PublishRoom,
        grant: &Grant,
        stream: &Stream,
        draft: Draft,
    ) -> Result<Receipt, PublishError> {
        super::publish(&self.inner, grant, stream, draft, Some(room)).await
    }
}

/// Waits, for a while, until so many bytes more of the stream's project may be on their way.
pub(crate) async fn room_for(
    inner: &Inner,
    stream: &Stream,
    bytes: usize,
) -> Result<PublishRoom, PublishError> {
    let (max, shares) = (inner.options.room(), &inner.shares);
    let too_large = PublishError::TooLarge { max };
    let room = u32::try_from(bytes).ok().filter(|_| bytes <= max).ok_or(too_large)?;
    let share = u32::try_from(bytes.min(shares.bytes)).unwrap_or(u32::MAX);
    let (of_project, is_large) = (shares.of(stream), bytes > shares.bytes);
    // The usual case needs no timer.
    if !is_large
        && let Ok(share) = of_project.clone().try_acquire_many_owned(share)
        && let Ok(room) = inner.inflight.clone().try_acquire_many_owned(room)
    {
        return Ok(PublishRoom { room, share, large: None });
    }
    // The project's own first: who waits for it holds up no other.
    let wait = async {
        let share = of_project.acquire_many_owned(share).await?;
        let large = if is_large { Some(shares.large.clone().acquire_owned().await?) } else { None };
        let room = inner.inflight.clone().acquire_many_owned(room).await?;
        Ok::<_, AcquireError>(PublishRoom { room, share, large })
    };
    let came = tokio::time::timeout(inner.options.publish_wait, wait).await;
    came.ok().and_then(Result::ok).ok_or_else(no_room)
}

fn no_room() -> PublishError {
    PublishError::Unavailable("too many bytes wait for their commit".into())
}

/// Waits, for a while, until so many bytes more may be on their way: for what is not a publish of
/// one stream.
pub(crate) async fn admit(
    inner: &Inner,
    bytes: usize,
) -> Result<OwnedSemaphorePermit, PublishError> {
    share_of(&inner.inflight, inner, bytes).await?.ok_or_else(no_room)
}

/// Waits, for a while, until transactions may read so many bytes more. What is read counts here
/// rather than among what is on its way: a slow disk then holds up no publish. Who holds this may wait
/// for [`admit`], never the other way round.
pub(crate) async fn admit_reading(
    inner: &Inner,
    bytes: usize,
) -> Result<OwnedSemaphorePermit, PublishError> {
    let permit = share_of(&inner.reading, inner, bytes).await?;
    permit.ok_or_else(|| PublishError::Unavailable("too many transactions read events".into()))
}

/// `None`: it did not come in time.
async fn share_of(
    room: &Arc<Semaphore>,
    inner: &Inner,
    bytes: usize,
) -> Result<Option<OwnedSemaphorePermit>, PublishError> {
    let max = inner.options.room();
    let share = u32::try_from(bytes).ok().filter(|_| bytes <= max);
    let share = share.ok_or(PublishError::TooLarge { max })?;
    // The usual case needs no timer.
    if let Ok(permit) = room.clone().try_acquire_many_owned(share) {
        return Ok(Some(permit));
    }
    let wait = room.clone().acquire_many_owned(share);
    let came = tokio::time::timeout(inner.options.publish_wait, wait).await;
    Ok(came.ok().and_then(Result::ok))
}
