//! A batch's share of the bytes that may be on their way, which grows as the states that it changes
//! are found.
//!
//! Used by [`KeyedDraft::gather`](super::publish::KeyedDraft::gather): [`Share::take`] while it has its
//! stream's turn, which never waits, and [`Share::exchange`] when it has given the turn back.
//!
//! Invariant: while a share waits for room it holds none, so that shares never wait for one another.

use tokio::sync::OwnedSemaphorePermit;

use crate::PublishError;
use crate::hub::Inner;
use crate::publish::admit;

/// Whether a batch's states were brought in.
#[derive(Debug)]
pub(crate) enum Brought {
    /// All of them.
    All,
    /// There is no room for them at once: the share must be exchanged for one of so many bytes.
    NoRoom { wanted: usize },
}

/// See the module.
pub(crate) struct Share<'a> {
    inner: &'a Inner,
    permit: &'a mut OwnedSemaphorePermit,
    /// The bytes of the draft itself.
    draft: usize,
    /// What was taken of the permit.
    taken: usize,
}

impl<'a> Share<'a> {
    /// The share of a batch whose draft is what `permit` was given for.
    pub(crate) fn new(inner: &'a Inner, permit: &'a mut OwnedSemaphorePermit) -> Self {
        let draft = permit.num_permits();
        Self { inner, permit, draft, taken: draft }
    }

    /// Begins to count the states anew.
    pub(crate) fn begin(&mut self) {
        self.taken = self.draft;
    }

    /// Takes room for so many bytes more, if it is there.
    ///
    /// # Errors
    /// [`PublishError::TooLarge`] when it can never be there.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<Brought, PublishError> {
        let (max, wanted) = (self.inner.options.inflight_bytes, self.taken.saturating_add(bytes));
        if wanted > max {
            return Err(PublishError::TooLarge { max });
        }
        let more = wanted.saturating_sub(self.permit.num_permits());
        if more > 0 {
            let room = u32::try_from(more).ok();
            let room =
                room.and_then(|more| self.inner.inflight.clone().try_acquire_many_owned(more).ok());
            let Some(room) = room else {
                // What is still to be found is not known: twice as much, so that a batch of many states
                // waits a few times and not once for each.
                let held = self.permit.num_permits();
                return Ok(Brought::NoRoom { wanted: wanted.max(held.saturating_mul(2)).min(max) });
            };
            self.permit.merge(room);
        }
        self.taken = wanted;
        Ok(Brought::All)
    }

    /// Gives everything back and waits, for a while, for `wanted` bytes.
    ///
    /// # Errors
    /// Those of waiting.
    pub(crate) async fn exchange(&mut self, wanted: usize) -> Result<(), PublishError> {
        drop(self.permit.split(self.permit.num_permits()));
        *self.permit = admit(self.inner, wanted).await?;
        Ok(())
    }

    /// Gives back what was not taken.
    pub(crate) fn give_back_the_rest(&mut self) {
        drop(self.permit.split(self.permit.num_permits().saturating_sub(self.taken)));
    }
}
