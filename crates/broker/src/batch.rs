//! What the commands of one read come to: events to publish, acks, and the answers, in order, that
//! are given when all of it is on the disk.

use std::ops::Range;
use std::sync::Arc;

use outflow_hub::schedule::Recurrence;
use outflow_hub::subscription::ConsumerId;
use outflow_hub::{Settle, Stream};
use outflow_model::draft::Rules;
use outflow_model::{Draft, Rng};

use crate::failure::Failure;
use crate::letter::Letter;

/// Events for one stream.
#[derive(Debug)]
pub struct Parcel {
    /// Where they go.
    pub stream: Arc<Stream>,
    /// Whether they are answered only when they are on the disk.
    pub synced: bool,
    /// The events.
    pub draft: Draft,
    /// When its one event is published, if that is not now.
    pub recurrence: Option<Recurrence>,
}

/// Acks of one consumer.
#[derive(Debug)]
pub struct Acks {
    /// Whose.
    pub consumer: ConsumerId,
    /// What it answers.
    pub answers: Vec<Settle>,
}

/// What an answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Nothing.
    Ready,
    /// The parcel with this index.
    Parcel(usize),
    /// The parcels that a send to several streams went into: a range of [`Joint`].
    Parcels {
        /// The first of them.
        from: usize,
        /// Behind the last.
        to: usize,
    },
    /// Of the acks with this index, those from the one place to before the other.
    Acks {
        /// Which consumer's.
        index: usize,
        /// The first of them.
        from: usize,
        /// Behind the last.
        to: usize,
    },
}

impl Part {
    /// What an answer depends on that comes after this part and `later`.
    #[must_use]
    pub const fn and(self, later: Self) -> Self {
        match (self, later) {
            (Self::Acks { index, from, .. }, Self::Acks { index: other, to, .. })
                if index == other =>
            {
                Self::Acks { index, from, to }
            }
            _ => later,
        }
    }
}

/// The indices of the parcels that sends to several streams went into, send by send.
#[derive(Debug, Default)]
pub struct Joint(Vec<usize>);

impl Joint {
    /// The parcels that `part` depends on.
    pub fn parcels(&self, part: Part) -> impl Iterator<Item = usize> + '_ {
        let (one, several) = match part {
            Part::Parcel(index) => (Some(index), 0..0),
            Part::Parcels { from, to } => (None, from..to),
            Part::Ready | Part::Acks { .. } => (None, 0..0),
        };
        one.into_iter().chain(self.0.get(several).unwrap_or_default().iter().copied())
    }
}

/// The answers that a face gathers.
pub trait Answers: std::fmt::Debug + Default + Send {
    /// Whether there are none.
    fn is_empty(&self) -> bool;
}

/// See the module.
#[derive(Debug, Default)]
pub struct Batch<A> {
    /// What is published, in this order.
    pub parcels: Vec<Parcel>,
    /// What is acked, after that: what was sent in answer to a message is stored before the message
    /// is done.
    pub acks: Vec<Acks>,
    /// What is answered.
    pub answers: A,
    /// Which parcels sends to several streams went into.
    pub joint: Joint,
    /// Consumers that may get so many messages more, because they have taken some or asked for one,
    /// or so many fewer.
    pub credit: Vec<(ConsumerId, i64)>,
    bytes: usize,
}

/// How many streams' events are gathered before they are handed on.
const MAX_PARCELS: usize = 64;
/// How many bytes are.
const MAX_BYTES: usize = 512 << 10;

impl<A: Answers> Batch<A> {
    /// Whether nothing was gathered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parcels.is_empty()
            && self.acks.is_empty()
            && self.answers.is_empty()
            && self.credit.is_empty()
    }

    /// Whether it has to be handed on before more is gathered.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.parcels.len() >= MAX_PARCELS || self.bytes >= MAX_BYTES
    }

    /// The index of the parcel for `stream`: one, as its order is that of the sends. One send that
    /// waits for the sync lets those beside it wait as well.
    fn parcel(&mut self, stream: &Arc<Stream>, synced: bool) -> usize {
        let is_it = |one: &Parcel| one.stream.id == stream.id && one.recurrence.is_none();
        let known = self.parcels.iter().rposition(is_it);
        if let Some(one) = known.and_then(|index| self.parcels.get_mut(index)) {
            one.synced |= synced;
        }
        known.unwrap_or_else(|| self.add_parcel(stream, synced, None))
    }

    fn add_parcel(
        &mut self,
        stream: &Arc<Stream>,
        synced: bool,
        recurrence: Option<Recurrence>,
    ) -> usize {
        let (stream, draft) = (Arc::clone(stream), Draft::default());
        self.parcels.push(Parcel { stream, synced, draft, recurrence });
        self.parcels.len() - 1
    }

    /// Adds an event for each of `streams`; gives what its answer depends on.
    ///
    /// # Errors
    /// [`Failure`] when the event is none; nothing was added.
    pub fn send<B: AsRef<[u8]>>(
        &mut self,
        letter: &Letter<'_, B>,
        streams: &[Arc<Stream>],
        synced: bool,
        rules: &Rules,
        rng: &dyn Rng,
    ) -> Result<Part, Failure> {
        let from = self.joint.0.len();
        let mut part = Part::Ready;
        for stream in streams {
            let index = match &letter.recurrence {
                None => self.parcel(stream, synced),
                Some(recurrence) => self.add_parcel(stream, synced, Some(recurrence.clone())),
            };
            let Some(parcel) = self.parcels.get_mut(index) else { continue };
            let before = parcel.draft.bytes();
            // The first one decides: the event is the same for all.
            letter.push(&mut parcel.draft, rules, rng)?;
            self.bytes += parcel.draft.bytes() - before;
            part = Part::Parcel(index);
            if streams.len() > 1 {
                self.joint.0.push(index);
            }
        }
        let to = self.joint.0.len();
        Ok(if to > from { Part::Parcels { from, to } } else { part })
    }

    /// Adds a consumer's answers; gives what theirs depends on.
    pub fn settle(
        &mut self,
        consumer: ConsumerId,
        answers: impl IntoIterator<Item = Settle>,
    ) -> Part {
        let known = self.acks.iter().rposition(|acks| acks.consumer == consumer);
        let index = known.unwrap_or_else(|| {
            self.acks.push(Acks { consumer, answers: Vec::new() });
            self.acks.len() - 1
        });
        let Some(acks) = self.acks.get_mut(index) else { return Part::Ready };
        let from = acks.answers.len();
        acks.answers.extend(answers);
        Part::Acks { index, from, to: acks.answers.len() }
    }

    /// Lets a consumer have `n` messages more, or fewer.
    pub fn credit(&mut self, consumer: ConsumerId, n: i64) {
        match self.credit.iter_mut().rfind(|(of, _)| *of == consumer) {
            Some((_, sum)) => *sum += n,
            None => self.credit.push((consumer, n)),
        }
    }

    /// What is left to do once it is handed on: the answers.
    #[must_use]
    pub fn landing(&mut self) -> Landing<A> {
        Landing {
            answers: std::mem::take(&mut self.answers),
            joint: std::mem::take(&mut self.joint),
        }
    }
}

/// The answers of a batch that is on its way.
#[derive(Debug, Default)]
pub struct Landing<A> {
    /// What is answered.
    pub answers: A,
    /// Which parcels sends to several streams went into.
    pub joint: Joint,
}

impl<A> Landing<A> {
    /// Why what an answer depends on did not become of it, if so. An ack of a message that was
    /// taken back is one, see [`Failure::taken_back`].
    #[must_use]
    pub fn failure(&self, outcome: &Outcome, part: Part) -> Option<Failure> {
        match part {
            Part::Ready => None,
            Part::Parcel(_) | Part::Parcels { .. } => {
                let mut parcels = self.joint.parcels(part);
                parcels.find_map(|index| outcome.parcels.get(index)?.clone().err())
            }
            Part::Acks { index, from, to } => outcome.refusal(index, &(from..to)),
        }
    }
}

/// What became of a batch: by parcel and by acks, in their order.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Of the parcels.
    pub parcels: Vec<Result<(), Failure>>,
    /// Of the acks.
    pub acks: Vec<Result<(), Failure>>,
    /// By acks, the places of those whose messages were taken back before, and come again.
    pub unknown: Vec<Vec<usize>>,
}

impl Outcome {
    /// Whether all of it was done.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.parcels.iter().chain(&self.acks).all(Result::is_ok)
            && self.unknown.iter().all(Vec::is_empty)
    }

    /// What failed.
    #[must_use]
    pub fn into_failures(self) -> Vec<Failure> {
        self.parcels.into_iter().chain(self.acks).filter_map(Result::err).collect()
    }

    /// Why the acks that an answer depends on were not applied, if so.
    fn refusal(&self, index: usize, places: &Range<usize>) -> Option<Failure> {
        if let Some(Err(failure)) = self.acks.get(index) {
            return Some(failure.clone());
        }
        let unknown = self.unknown.get(index)?;
        unknown.iter().any(|at| places.contains(at)).then(Failure::taken_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_to_several_streams_fails_with_its_own_parcels_only() {
        let landing = Landing { answers: (), joint: Joint(vec![0, 1, 1, 2]) };
        let refused = Failure::malformed("the first is refused");
        let outcome =
            Outcome { parcels: vec![Err(refused.clone()), Ok(()), Ok(())], ..Outcome::default() };
        let of = |from, to| landing.failure(&outcome, Part::Parcels { from, to });
        assert_eq!(of(0, 2), Some(refused));
        assert_eq!(of(2, 4), None);
        assert_eq!(landing.failure(&outcome, Part::Parcel(1)), None);
    }

    #[test]
    fn acks_are_answered_by_what_became_of_them() {
        let landing = Landing { answers: (), joint: Joint::default() };
        let outcome = Outcome { acks: vec![Ok(())], unknown: vec![vec![2]], ..Outcome::default() };
        let of = |from, to| landing.failure(&outcome, Part::Acks { index: 0, from, to });
        assert_eq!(of(0, 2), None);
        assert_eq!(of(1, 3), Some(Failure::taken_back()));
    }
}
