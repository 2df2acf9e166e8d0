//! What memory has of a prepared transaction: which leases it took, by where their events are. The
//! events themselves are apart in their subscriptions, with all that is known of them.
//!
//! Made by `conclude` and `load`.

use std::collections::BTreeMap;
use std::sync::Arc;

use outflow_model::Offset;
use outflow_model::clock::Moment;

use super::super::burial::letter_bytes;
use super::super::entry::Entry;
use super::super::hand::Leased;
use super::super::transaction::Answered;
use super::super::{LeaseId, Settle, Subscription};
use super::record::Pieces;

/// How much a transaction holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// How many events it answers.
    pub(super) answers: usize,
    /// How many bytes it publishes; the causes of its dead letters count.
    pub(super) bytes: usize,
}

impl Size {
    /// That of what is to be prepared.
    pub(super) fn of(publishes: usize, answers: &[Answered]) -> Self {
        let causes = answers.iter().map(|one| match &one.answer {
            Settle::DeadLetter { cause, .. } => cause.len(),
            _ => 0,
        });
        Self { answers: answers.len(), bytes: publishes + causes.sum::<usize>() }
    }

    pub(super) const fn plus(self, other: Self) -> Self {
        Self { answers: self.answers + other.answers, bytes: self.bytes + other.bytes }
    }

    pub(super) const fn minus(self, other: Self) -> Self {
        Self {
            answers: self.answers.saturating_sub(other.answers),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

/// A lease that was taken.
#[derive(Debug)]
struct Taken {
    offset: Offset,
    lease: u64,
    /// [`Moment::NEVER`]: it had none.
    deadline: Moment,
    was_extended: bool,
}

/// Leases of one consumer over events of one feed that were answered alike, one after another.
#[derive(Debug)]
struct Run {
    subscription: Arc<Subscription>,
    feed: u32,
    hand: u64,
    /// The answer, of no lease.
    answer: Settle,
    taken: Vec<Taken>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Held {
    runs: Vec<Run>,
    pub(super) pieces: Pieces,
    /// How many bytes it publishes.
    pub(super) bytes: usize,
}

impl Held {
    pub(super) fn new(answers: Vec<Answered>, pieces: Pieces, bytes: usize) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        for Answered { subscription, hand, answer, leased } in answers {
            let Some(entry) = &leased.entry else { continue };
            let taken = Taken {
                offset: entry.offset,
                lease: leased.lease,
                deadline: leased.deadline.unwrap_or(Moment::NEVER),
                was_extended: leased.was_extended,
            };
            let answer = of_no_lease(answer);
            match runs
                .last_mut()
                .filter(|run| run.goes_on(&subscription, leased.feed, hand, &answer))
            {
                Some(run) => run.taken.push(taken),
                None => {
                    let feed = leased.feed;
                    runs.push(Run { subscription, feed, hand, answer, taken: vec![taken] });
                }
            }
        }
        runs.iter_mut().for_each(|run| run.taken.shrink_to_fit());
        runs.shrink_to_fit();
        Self { runs, pieces, bytes }
    }

    /// The subscriptions whose events it answers.
    pub(super) fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        let all = self.runs.iter().map(|run| (run.subscription.id(), run.subscription.clone()));
        all.collect::<BTreeMap<_, _>>().into_values().collect()
    }

    /// How many bytes its dead letters may have, where its subscriptions have any.
    pub(super) fn dead_bytes(&self) -> usize {
        let of = |run: &Run| {
            let Settle::DeadLetter { cause, .. } = &run.answer else { return 0 };
            let queue = run.subscription.queue.lock();
            let feed = queue.feed(run.feed).filter(|_| queue.settings.dead_letter.is_some());
            let Some(feed) = feed else { return 0 };
            let entries = run.taken.iter().filter_map(|taken| feed.apart.get(&taken.offset));
            entries.map(|(entry, _)| letter_bytes(entry, cause)).sum::<usize>()
        };
        self.runs.iter().map(of).sum()
    }

    /// Its answers, those whose events are still there. With `hand`, all are said to be of this one.
    pub(super) fn answers(self, hand: Option<u64>) -> Vec<Answered> {
        let mut all = Vec::with_capacity(self.runs.iter().map(|run| run.taken.len()).sum());
        for run in self.runs {
            let queue = run.subscription.queue.lock();
            let Some(feed) = queue.feed(run.feed) else { continue };
            for taken in run.taken {
                let Some((entry, _)) = feed.apart.get(&taken.offset) else { continue };
                all.push(Answered {
                    subscription: run.subscription.clone(),
                    hand: hand.unwrap_or(run.hand),
                    answer: run.answer.clone(),
                    leased: taken.leased(run.feed, entry.clone()),
                });
            }
        }
        all
    }
}

impl Run {
    fn goes_on(&self, of: &Arc<Subscription>, feed: u32, hand: u64, answer: &Settle) -> bool {
        Arc::ptr_eq(&self.subscription, of)
            && (self.feed, self.hand) == (feed, hand)
            && self.answer == *answer
    }
}

impl Taken {
    fn leased(self, feed: u32, entry: Entry) -> Leased {
        Leased {
            lease: self.lease,
            feed,
            entry: Some(entry),
            deadline: Some(self.deadline).filter(|deadline| *deadline < Moment::NEVER),
            was_extended: self.was_extended,
        }
    }
}

/// The same answer, of no lease.
fn of_no_lease(answer: Settle) -> Settle {
    let lease = LeaseId(0);
    match answer {
        Settle::DeadLetter { cause, .. } => Settle::DeadLetter { lease, cause },
        Settle::Requeue { delay, .. } => Settle::Requeue { lease, delay },
        Settle::Ack(_) | Settle::AckThrough(_) | Settle::Extend { .. } => Settle::Ack(lease),
    }
}
