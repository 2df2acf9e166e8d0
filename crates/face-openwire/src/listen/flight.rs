//! A batch on its way to the disk.

use std::pin::Pin;
use std::task::{Context, Poll};

use outflow_hub::publish::Publishing;
use outflow_hub::subscription::{Consumers, SettleError, Settling};

use crate::error::Failure;
use crate::session::batch::{Acks, Landing, Outcome};

/// One part of a batch.
enum Part<F> {
    Going(F),
    Over(Result<(), Failure>),
}

impl<F> Part<F> {
    fn poll<T, E: Into<Failure>>(&mut self, cx: &mut Context<'_>) -> Poll<()>
    where
        F: Future<Output = Result<T, E>> + Unpin,
    {
        let Self::Going(future) = self else { return Poll::Ready(()) };
        Pin::new(future).poll(cx).map(|result| {
            *self = Self::Over(result.map(drop).map_err(Into::into));
        })
    }

    fn result(self) -> Result<(), Failure> {
        match self {
            Self::Over(result) => result,
            Self::Going(_) => Ok(()),
        }
    }
}

/// See the module. Only the first of a connection's flights is polled: what lands behind it is
/// answered behind it.
pub(super) struct Flight {
    parcels: Vec<Part<Publishing>>,
    acks: Vec<Part<Settling>>,
    landing: Landing,
    /// How many of the parts, parcels first, are over.
    over: usize,
}

impl Flight {
    pub(super) fn new(
        parcels: Vec<Result<Publishing, Failure>>,
        acks: Vec<Result<Settling, Failure>>,
        landing: Landing,
    ) -> Self {
        fn part<F>(result: Result<F, Failure>) -> Part<F> {
            result.map_or_else(|failure| Part::Over(Err(failure)), Part::Going)
        }
        Self {
            parcels: parcels.into_iter().map(part).collect(),
            acks: acks.into_iter().map(part).collect(),
            landing,
            over: 0,
        }
    }

    /// Waits until all of it is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let acks = self.over.checked_sub(self.parcels.len());
            let polled = match acks {
                None => self.parcels.get_mut(self.over).map(|part| part.poll(cx)),
                Some(at) => self.acks.get_mut(at).map(|part| part.poll(cx)),
            };
            match polled {
                None => return Poll::Ready(()),
                Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(())) => self.over += 1,
            }
        }
    }

    /// What became of it, once it is over.
    pub(super) fn land(self) -> (Landing, Outcome) {
        let outcome = Outcome {
            parcels: self.parcels.into_iter().map(Part::result).collect(),
            acks: self.acks.into_iter().map(Part::result).collect(),
        };
        (self.landing, outcome)
    }
}

/// Applies acks, each consumer's in one go.
pub(super) fn settle(
    consumers: Option<&mut Consumers>,
    acks: &[Acks],
) -> Vec<Result<Settling, Failure>> {
    let Some(consumers) = consumers else {
        return acks.iter().map(|_| Err(SettleError::NotFound.into())).collect();
    };
    acks.iter().map(|one| settle_one(consumers, one)).collect()
}

/// Applies the acks of one consumer. What the hub has taken back meanwhile (its queue was purged,
/// its lease ended) does not keep the rest from being acked, and is no fault of the client: it gets
/// the message again.
fn settle_one(consumers: &mut Consumers, acks: &Acks) -> Result<Settling, Failure> {
    let settled = consumers.settle_held(acks.consumer, &acks.answers);
    settled.map(|(settling, _)| settling).map_err(Failure::from)
}
