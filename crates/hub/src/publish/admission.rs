//! Who may publish, and when there is room for what they bring.
//!
//! Called by [`super`] and by whoever queues batches of its own, before any lock is taken.

use outflow_model::{Action, Grant};
use tokio::sync::OwnedSemaphorePermit;

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
    let max = inner.options.inflight_bytes.min(u32::MAX as usize);
    let share = u32::try_from(bytes).ok().filter(|_| bytes <= max);
    let share = share.ok_or(PublishError::TooLarge { max })?;
    // The usual case needs no timer.
    if let Ok(permit) = inner.inflight.clone().try_acquire_many_owned(share) {
        return Ok(permit);
    }
    let wait = inner.inflight.clone().acquire_many_owned(share);
    match tokio::time::timeout(inner.options.publish_wait, wait).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => {
            Err(PublishError::Unavailable("too many bytes wait for their commit".into()))
        }
    }
}
