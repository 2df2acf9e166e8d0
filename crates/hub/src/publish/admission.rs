//! Who may publish, and when there is room for what they bring.
//!
//! Called by [`super`] and by whoever queues batches of its own, before any lock is taken.

use std::sync::Arc;

use outflow_model::{Action, Grant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::hub::{Denied, Inner, reach};
use crate::{PublishError, Stream};

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

/// Waits, for a while, until so many bytes more may be on their way.
pub(crate) async fn admit(
    inner: &Inner,
    bytes: usize,
) -> Result<OwnedSemaphorePermit, PublishError> {
    let permit = share_of(&inner.inflight, inner, bytes).await?;
    permit.ok_or_else(|| PublishError::Unavailable("too many bytes wait for their commit".into()))
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
