//! A batch on its way to the disk.

use std::pin::Pin;
use std::task::{Context, Poll};

use outflow_hub::publish::Publishing;
use outflow_hub::subscription::{ConsumerId, Consumers, SettleError, Settling};

use crate::batch::{Acks, Landing, Outcome};
use crate::failure::Failure;

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

/// Acks of one consumer that were applied, or are written.
pub(crate) struct Settled {
    settling: Result<Settling, Failure>,
    /// The places among them of those that it does not hold any more.
    unknown: Vec<usize>,
}

/// See the module. Only the first of a connection's flights is polled: what lands behind it is
/// answered behind it.
pub(crate) struct Flight<A> {
    parcels: Vec<Part<Publishing>>,
    acks: Vec<Part<Settling>>,
    unknown: Vec<Vec<usize>>,
    landing: Landing<A>,
    /// How many of the parts, parcels first, are over.
    over: usize,
}

impl<A> Flight<A> {
    pub(crate) fn new(
        parcels: Vec<Result<Publishing, Failure>>,
        acks: Vec<Settled>,
        landing: Landing<A>,
    ) -> Self {
        let (acks, unknown): (Vec<_>, _) =
            acks.into_iter().map(|one| (one.settling, one.unknown)).unzip();
        fn part<F>(result: Result<F, Failure>) -> Part<F> {
            result.map_or_else(|failure| Part::Over(Err(failure)), Part::Going)
        }
        Self {
            parcels: parcels.into_iter().map(part).collect(),
            acks: acks.into_iter().map(part).collect(),
            unknown,
            landing,
            over: 0,
        }
    }

    /// Waits until all of it is over.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
    pub(crate) fn land(self) -> (Landing<A>, Outcome) {
        let outcome = Outcome {
            parcels: self.parcels.into_iter().map(Part::result).collect(),
            acks: self.acks.into_iter().map(Part::result).collect(),
            unknown: self.unknown,
        };
        (self.landing, outcome)
    }
}

impl Settled {
    fn new(settling: Result<Settling, SettleError>) -> Self {
        Self { settling: settling.map_err(Into::into), unknown: Vec::new() }
    }

    /// Whether there is nothing to wait for, and nothing to tell.
    pub(crate) fn is_over(&self) -> bool {
        self.settling.as_ref().is_ok_and(Settling::is_over)
    }
}

/// Writes what consumers have acked before.
pub(crate) fn write(
    consumers: Option<&mut Consumers>,
    which: impl IntoIterator<Item = ConsumerId>,
) -> Vec<Settled> {
    let Some(consumers) = consumers else { return Vec::new() };
    // One that is gone has caught up before it went, or its subscription is gone, too.
    let all = which.into_iter().filter_map(|one| consumers.write(one).ok());
    all.map(|settling| Settled::new(Ok(settling))).collect()
}

/// Applies acks, each consumer's in one go. Unless `at_once` those that are acked may be written a
/// little later.
pub(crate) fn settle(
    consumers: Option<&mut Consumers>,
    acks: &[Acks],
    at_once: bool,
) -> Vec<Settled> {
    let Some(consumers) = consumers else {
        return acks.iter().map(|_| Settled::new(Err(SettleError::NotFound))).collect();
    };
    acks.iter().map(|one| settle_one(consumers, one, at_once)).collect()
}

/// Applies the acks of one consumer. What the hub has taken back meanwhile (its queue was purged,
/// its lease ended) does not keep the rest from being acked.
fn settle_one(consumers: &mut Consumers, acks: &Acks, at_once: bool) -> Settled {
    let settled = match at_once {
        true => consumers.settle_held(acks.consumer, &acks.answers),
        false => consumers.settle_soon(acks.consumer, &acks.answers),
    };
    match settled {
        Ok((settling, unknown)) => Settled { settling: Ok(settling), unknown },
        Err(error) => Settled::new(Err(error)),
    }
}
