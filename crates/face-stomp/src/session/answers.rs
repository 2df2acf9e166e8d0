//! The answers of a batch: frames that are written when they are asked for and given when what they
//! tell of is on the disk.

use outflow_broker::batch::{self, Joint};
use outflow_broker::{Failure, Landing, Outbox as _, Outcome, Part};

use super::Outbox;
use crate::error;
use crate::wire::{FrameWriter, Version};

/// Frames that are written already, each with what it depends on.
#[derive(Debug, Default)]
pub struct Answers {
    bytes: Vec<u8>,
    marks: Vec<(usize, Part)>,
    /// The parcels that sends went into which asked for no receipt, in order.
    silent: Vec<usize>,
}

const RECEIPT_BEGIN: &[u8] = b"RECEIPT\nreceipt-id:";
const RECEIPT_END: &[u8] = b"\n\n\0\n";

impl batch::Answers for Answers {
    fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }
}

impl Answers {
    /// Adds a receipt, if one is asked for.
    pub(super) fn receipt(&mut self, version: Version, id: Option<&str>, part: Part) {
        let Some(id) = id else { return };
        FrameWriter::begin(&mut self.bytes, version, "RECEIPT").header("receipt-id", id).end();
        self.marks.push((self.bytes.len(), part));
    }

    /// Adds the answer of a SEND. One that asks for no receipt is answered when it fails.
    pub(super) fn sent(&mut self, version: Version, id: Option<&str>, part: Part, joint: &Joint) {
        if id.is_some() {
            return self.receipt(version, id, part);
        }
        for parcel in joint.parcels(part) {
            if let Err(at) = self.silent.binary_search(&parcel) {
                self.silent.insert(at, parcel);
            }
        }
    }

    /// Adds an ERROR frame.
    pub(super) fn failure(&mut self, version: Version, failure: &Failure, receipt: Option<&str>) {
        let mut out = Outbox::default();
        error::write(failure, &mut out, version, receipt);
        self.bytes.extend_from_slice(out.waiting());
        self.marks.push((self.bytes.len(), Part::Ready));
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

/// Writes the answers of a batch; gives the failures.
pub(super) fn write(
    landing: &Landing<Answers>,
    outcome: Outcome,
    version: Version,
    out: &mut Outbox,
) -> Vec<Failure> {
    let answers = &landing.answers;
    if outcome.is_whole() {
        if out.is_by_frame() {
            answers.frames().for_each(|(frame, _)| out.frame(frame));
        } else {
            out.frames(&answers.bytes);
        }
        return Vec::new();
    }
    for index in &answers.silent {
        if let Some(Err(failure)) = outcome.parcels.get(*index) {
            error::write(failure, out, version, None);
        }
    }
    for (index, result) in outcome.acks.iter().enumerate() {
        let is_of = |part: &Part| matches!(part, Part::Acks { index: of, .. } if *of == index);
        let silent = !answers.marks.iter().any(|(_, part)| is_of(part));
        if let (Err(failure), true) = (result, silent) {
            error::write(failure, out, version, None);
        }
    }
    for (frame, part) in answers.frames() {
        match landing.failure(&outcome, part) {
            None => out.frame(frame),
            Some(failure) => refuse(frame, &failure, version, out),
        }
    }
    outcome.into_failures()
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
    use outflow_broker::Batch;
    use outflow_hub::Settle;
    use outflow_hub::subscription::{ConsumerId, LeaseId};

    use super::*;

    #[test]
    fn only_the_receipt_of_an_ack_that_came_too_late_is_refused() {
        let version = Version::V1_2;
        let mut batch: Batch<Answers> = Batch::default();
        for (at, receipt) in ["one", "two", "three"].into_iter().enumerate() {
            let part = batch.settle(ConsumerId(0), [Settle::Ack(LeaseId(at as u64))]);
            batch.answers.receipt(version, Some(receipt), part);
        }
        let outcome = Outcome { acks: vec![Ok(())], unknown: vec![vec![1]], ..Outcome::default() };
        let mut out = Outbox::default();
        write(&batch.landing(), outcome, version, &mut out);
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
