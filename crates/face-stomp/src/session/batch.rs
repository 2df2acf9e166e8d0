//! What the frames of one read come to: events to publish, acks, and the answers, in order, that are
//! given when all of it is on the disk.

use std::sync::Arc;

use outflow_hub::subscription::ConsumerId;
use outflow_hub::{Settle, Stream};
use outflow_model::Draft;

use super::Outbox;
use crate::error::Failure;
use crate::wire::{FrameWriter, Version};

/// Events for one stream.
#[derive(Debug)]
pub struct Parcel {
    /// Where they go.
    pub stream: Arc<Stream>,
    /// Whether they are answered only when they are on the disk.
    pub synced: bool,
    /// The events.
    pub draft: Draft,
    /// How many SEND frames in it asked for no receipt.
    unanswered: u32,
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
    /// Of the acks with this index, those from the one place to before the other.
    Acks { index: usize, from: usize, to: usize },
}

impl Part {
    /// What an answer depends on that comes after this part and `later`.
    pub(super) const fn and(self, later: Self) -> Self {
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

/// Frames that are written already, each with what it depends on.
#[derive(Debug, Default)]
pub struct Answers {
    bytes: Vec<u8>,
    marks: Vec<(usize, Part)>,
}

const RECEIPT_BEGIN: &[u8] = b"RECEIPT\nreceipt-id:";
const RECEIPT_END: &[u8] = b"\n\n\0\n";

impl Answers {
    fn receipt(&mut self, version: Version, id: &str, part: Part) {
        FrameWriter::begin(&mut self.bytes, version, "RECEIPT").header("receipt-id", id).end();
        self.marks.push((self.bytes.len(), part));
    }

    fn failure(&mut self, version: Version, failure: &Failure, receipt: Option<&str>) {
        let mut out = Outbox::default();
        failure.write(&mut out, version, receipt);
        self.bytes.extend_from_slice(out.waiting());
        self.marks.push((self.bytes.len(), Part::Ready));
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The frames, in order.
    fn frames(&self) -> impl Iterator<Item = (&[u8], Part)> {
        let mut from = 0;
        self.marks.iter().map(move |&(end, part)| {
            let frame = self.bytes.get(from..end).unwrap_or_default();
            from = end;
            (frame, part)
        })
    }
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
    pub answers: Answers,
    /// Consumers that may get so many messages more, because they acked some in a transaction, or
    /// so many fewer, because that was aborted.
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
            self.parcels.push(Parcel { stream, synced, draft, unanswered: 0 });
        }
        known.or_else(|| self.parcels.len().checked_sub(1))
    }

    /// Notes what a SEND added and how it is to be answered.
    pub(super) fn sent(
        &mut self,
        version: Version,
        receipt: Option<&str>,
        part: Part,
        bytes: usize,
    ) {
        self.bytes += bytes;
        match (receipt, part) {
            (Some(receipt), part) => self.answers.receipt(version, receipt, part),
            (None, Part::Parcel(index)) => {
                if let Some(parcel) = self.parcels.get_mut(index) {
                    parcel.unanswered += 1;
                }
            }
            (None, _) => self.parcels.iter_mut().for_each(|parcel| parcel.unanswered += 1),
        }
    }

    /// Adds a consumer's answers; gives what their receipt depends on.
    pub(super) fn settle(
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

    /// Adds a receipt.
    pub(super) fn receipt(&mut self, version: Version, receipt: Option<&str>, part: Part) {
        if let Some(receipt) = receipt {
            self.answers.receipt(version, receipt, part);
        }
    }

    /// Adds an ERROR frame.
    pub(super) fn failure(&mut self, version: Version, failure: &Failure, receipt: Option<&str>) {
        self.answers.failure(version, failure, receipt);
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
        Landing {
            answers: std::mem::take(&mut self.answers),
            unanswered: self.parcels.iter().map(|parcel| parcel.unanswered).collect(),
        }
    }
}

/// The answers of a batch that is on its way.
#[derive(Debug, Default)]
pub struct Landing {
    answers: Answers,
    /// By parcel, how many SEND frames asked for no receipt.
    unanswered: Vec<u32>,
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
    /// Why the acks that an answer depends on were not applied, if so.
    fn refusal(&self, index: usize, places: std::ops::Range<usize>) -> Option<Failure> {
        if let Some(Err(failure)) = self.acks.get(index) {
            return Some(failure.clone());
        }
        let unknown = self.unknown.get(index)?;
        unknown.iter().any(|at| places.contains(at)).then(Failure::taken_back)
    }
}

impl Landing {
    /// Writes the answers; gives the failures.
    pub(super) fn write(
        self,
        outcome: Outcome,
        version: Version,
        out: &mut Outbox,
    ) -> Vec<Failure> {
        let mut failed = outcome.parcels.iter().chain(&outcome.acks).filter(|one| one.is_err());
        let is_whole = outcome.unknown.iter().all(Vec::is_empty);
        if failed.next().is_none() && is_whole {
            if out.is_by_frame() {
                self.answers.frames().for_each(|(frame, _)| out.frame(frame));
            } else {
                out.frames(&self.answers.bytes);
            }
            return Vec::new();
        }
        for (index, result) in outcome.parcels.iter().enumerate() {
            let silent = self.unanswered.get(index).is_some_and(|count| *count > 0);
            if let (Err(failure), true) = (result, silent) {
                failure.write(out, version, None);
            }
        }
        for (index, result) in outcome.acks.iter().enumerate() {
            let is_of = |part: &Part| matches!(part, Part::Acks { index: of, .. } if *of == index);
            let silent = !self.answers.marks.iter().any(|(_, part)| is_of(part));
            if let (Err(failure), true) = (result, silent) {
                failure.write(out, version, None);
            }
        }
        for (frame, part) in self.answers.frames() {
            let failure = match part {
                Part::Ready => None,
                Part::Parcel(index) => outcome.parcels.get(index).and_then(|one| one.clone().err()),
                Part::Parcels => outcome.parcels.iter().find_map(|one| one.clone().err()),
                Part::Acks { index, from, to } => outcome.refusal(index, from..to),
            };
            match failure {
                None => out.frame(frame),
                Some(failure) => refuse(frame, &failure, version, out),
            }
        }
        outcome.parcels.into_iter().chain(outcome.acks).filter_map(Result::err).collect()
    }
}

/// Writes an ERROR in the place of a RECEIPT that cannot be given.
fn refuse(receipt: &[u8], failure: &Failure, version: Version, out: &mut Outbox) {
    let id = receipt.strip_prefix(RECEIPT_BEGIN).and_then(|rest| rest.strip_suffix(RECEIPT_END));
    let mut frame = out.begin(version, "ERROR");
    frame.plain("content-type", "text/plain");
    // The id is escaped already.
    frame.lines(b"receipt-id:").lines(id.unwrap_or_default()).lines(b"\n");
    frame.header("message", &failure.message);
    frame.body(failure.message.as_bytes());
}

#[cfg(test)]
mod tests {
    use outflow_hub::subscription::LeaseId;

    use super::*;

    #[test]
    fn only_the_receipt_of_an_ack_that_came_too_late_is_refused() {
        let version = Version::V1_2;
        let mut batch = Batch::default();
        for (at, receipt) in ["one", "two", "three"].into_iter().enumerate() {
            let part = batch.settle(ConsumerId(0), [Settle::Ack(LeaseId(at as u64))]);
            batch.receipt(version, Some(receipt), part);
        }
        let outcome = Outcome { acks: vec![Ok(())], unknown: vec![vec![1]], ..Outcome::default() };
        let mut out = Outbox::default();
        batch.landing().write(outcome, version, &mut out);
        let text = String::from_utf8_lossy(out.waiting()).into_owned();
        let frames: Vec<&str> = text.split('\0').map(str::trim_start).collect();
        assert!(frames[0].starts_with("RECEIPT\nreceipt-id:one\n"), "{text}");
        assert!(
            frames[1].starts_with("ERROR\n") && frames[1].contains("receipt-id:two\n"),
            "{text}"
        );
        assert!(frames[2].starts_with("RECEIPT\nreceipt-id:three\n"), "{text}");
    }
}
