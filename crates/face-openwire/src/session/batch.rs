//! What the commands of one read come to: events to publish, acks, and the answers that are given
//! when they are on the disk.

use std::sync::Arc;

use outflow_hub::subscription::ConsumerId;
use outflow_hub::{Settle, Stream};
use outflow_model::{Draft, ErrorCode};

use super::Outbox;
use super::answer::Asked;
use crate::error::Failure;

/// Events for one stream.
#[derive(Debug)]
pub struct Parcel {
    /// Where they go.
    pub stream: Arc<Stream>,
    /// Whether they are answered only when they are on the disk.
    pub synced: bool,
    /// The events.
    pub draft: Draft,
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
pub(super) enum Part {
    /// Nothing.
    Ready,
    /// The parcel with this index.
    Parcel(usize),
    /// All parcels.
    Parcels,
    /// The acks with this index.
    Acks(usize),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Batch {
    /// What is published, in this order.
    pub parcels: Vec<Parcel>,
    /// What is acked, after that: what was sent in answer to a message is stored before the message
    /// is done.
    pub acks: Vec<Acks>,
    /// What is answered.
    answers: Vec<(Asked, Part)>,
    /// Consumers that may get so many messages more, because they have taken some or asked for one,
    /// or so many fewer.
    pub credit: Vec<(ConsumerId, i64)>,
    bytes: usize,
}

/// How many streams' events are gathered before they are handed on.
const MAX_PARCELS: usize = 64;
/// How many bytes are.
const MAX_BYTES: usize = 512 << 10;

impl Batch {
    /// Whether nothing was gathered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parcels.is_empty()
            && self.acks.is_empty()
            && self.answers.is_empty()
            && self.credit.is_empty()
    }

    /// Whether it has to be handed on before more is gathered.
    pub(super) fn is_full(&self) -> bool {
        self.parcels.len() >= MAX_PARCELS || self.bytes >= MAX_BYTES
    }

    /// The parcel for `stream`, with its index.
    pub(super) fn parcel(&mut self, stream: &Arc<Stream>, synced: bool) -> Option<usize> {
        let is_it = |one: &Parcel| one.stream.id == stream.id && one.synced == synced;
        let known = self.parcels.iter().rposition(is_it);
        if known.is_none() {
            let (stream, draft) = (Arc::clone(stream), Draft::default());
            self.parcels.push(Parcel { stream, synced, draft });
        }
        known.or_else(|| self.parcels.len().checked_sub(1))
    }

    /// Notes how many bytes a message added.
    pub(super) const fn grew(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Adds a consumer's answers; gives what theirs depends on.
    pub(super) fn settle(
        &mut self,
        consumer: ConsumerId,
        answers: impl IntoIterator<Item = Settle>,
    ) -> Part {
        if let Some(index) = self.acks.iter().rposition(|acks| acks.consumer == consumer) {
            if let Some(acks) = self.acks.get_mut(index) {
                acks.answers.extend(answers);
            }
            return Part::Acks(index);
        }
        self.acks.push(Acks { consumer, answers: answers.into_iter().collect() });
        Part::Acks(self.acks.len() - 1)
    }

    /// Answers a command when `part` is done.
    pub(super) fn answer(&mut self, asked: Asked, part: Part) {
        self.answers.push((asked, part));
    }

    /// Lets a consumer have `n` messages more, or fewer.
    pub(super) fn credit(&mut self, consumer: ConsumerId, n: i64) {
        match self.credit.iter_mut().rfind(|(of, _)| *of == consumer) {
            Some((_, sum)) => *sum += n,
            None => self.credit.push((consumer, n)),
        }
    }

    /// What is left to do once it is handed on: the answers.
    #[must_use]
    pub fn landing(&mut self) -> Landing {
        Landing { answers: std::mem::take(&mut self.answers) }
    }
}

/// The answers of a batch that is on its way.
#[derive(Debug, Default)]
pub struct Landing {
    answers: Vec<(Asked, Part)>,
}

/// What became of a batch: by parcel and by acks, in their order.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Of the parcels.
    pub parcels: Vec<Result<(), Failure>>,
    /// Of the acks.
    pub acks: Vec<Result<(), Failure>>,
}

impl Landing {
    /// Writes the answers; gives the failures.
    pub(super) fn write(self, outcome: Outcome, out: &mut Outbox) -> Vec<Failure> {
        let failure = |part: Part| match part {
            Part::Ready => None,
            Part::Parcel(index) => outcome.parcels.get(index)?.as_ref().err(),
            Part::Parcels => outcome.parcels.iter().find_map(|one| one.as_ref().err()),
            Part::Acks(index) => outcome.acks.get(index)?.as_ref().err(),
        };
        for (asked, part) in &self.answers {
            asked.write(failure(*part).map_or(Ok(()), Err), out);
        }
        let is_asked = |index| self.answers.iter().any(|(_, part)| *part == Part::Acks(index));
        for (index, result) in outcome.acks.iter().enumerate() {
            // A message that the hub has taken back meanwhile is with somebody else: nothing is lost.
            if let Err(failure) = result
                && failure.code != ErrorCode::NotFound
                && !is_asked(index)
            {
                Asked::silent().write(Err(failure), out);
            }
        }
        outcome.parcels.into_iter().chain(outcome.acks).filter_map(Result::err).collect()
    }
}
