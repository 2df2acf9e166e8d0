//! All consumers of one connection: what a face waits on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use outflow_model::{Grant, Timestamp};

use super::{
    ConsumeError, ConsumerId, ConsumerOptions, Delivered, LeaseId, Settle, SettleError,
    Subscription,
};

/// All consumers of one connection. See the module.
#[derive(Debug)]
pub struct Consumers {}

/// Answers on their way to the disk: resolves when they are durable.
#[derive(Debug)]
pub struct Settling {}

impl Future for Settling {
    type Output = Result<(), SettleError>;

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}

impl Consumers {
    pub(crate) fn new(_grant: &Grant) -> Self {
        Self {}
    }

    /// Adds a consumer.
    ///
    /// # Errors
    /// [`ConsumeError`].
    pub async fn add(
        &mut self,
        _subscription: &Arc<Subscription>,
        _options: ConsumerOptions,
    ) -> Result<ConsumerId, ConsumeError> {
        Err(ConsumeError::NotFound)
    }

    /// Waits for up to `max` events of one consumer, or an end. A call that is dropped loses
    /// nothing.
    pub async fn next(&mut self, _max: usize) -> Delivered {
        std::future::pending().await
    }

    /// Removes a consumer. What it holds goes back to the front, in order.
    pub fn remove(&mut self, _consumer: ConsumerId) {}

    /// Lets a consumer have `n` events more than its credit, until it has settled so many.
    pub fn add_credit(&mut self, _consumer: ConsumerId, _n: u32) {}

    /// Applies answers, in order, and queues them for the disk; await what it returns for
    /// durability. Dropping that changes nothing.
    ///
    /// # Errors
    /// [`SettleError::Unknown`]: nothing was applied.
    pub fn settle(
        &mut self,
        _consumer: ConsumerId,
        _answers: &[Settle],
    ) -> Result<Settling, SettleError> {
        Err(SettleError::NotFound)
    }

    /// Until when a lease is held.
    #[must_use]
    pub fn deadline(&self, _consumer: ConsumerId, _lease: LeaseId) -> Option<Timestamp> {
        None
    }
}
