//! The answers of a batch, given when what they tell of is on the disk.

use outflow_broker::batch::Answers as Store;
use outflow_broker::{About, Failure, Landing, Outcome, Part};
use outflow_model::ErrorCode;

use super::Outbox;
use super::answer::Asked;

/// See the module.
#[derive(Debug, Default)]
pub struct Answers(Vec<(Asked, Part)>);

impl Store for Answers {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Answers {
    /// Answers a command when `part` is done.
    pub(super) fn add(&mut self, asked: Asked, part: Part) {
        self.0.push((asked, part));
    }
}

/// Writes the answers of a batch; gives the failures.
pub(super) fn write(
    landing: &Landing<Answers>,
    outcome: Outcome,
    out: &mut Outbox,
) -> Vec<Failure> {
    let answers = &landing.answers.0;
    for (asked, part) in answers {
        // A message that the hub has taken back is no fault of the client: it gets it again.
        let failure = landing.failure(&outcome, *part);
        let failure = failure.filter(|failure| failure.about != About::TakenBack);
        asked.write(failure.as_ref().map_or(Ok(()), Err), out);
    }
    let is_of = |part: &Part, of| matches!(part, Part::Acks { index, .. } if *index == of);
    for (index, result) in outcome.acks.iter().enumerate() {
        // A message that the hub has taken back meanwhile is with somebody else: nothing is lost.
        if let Err(failure) = result
            && failure.code != ErrorCode::NotFound
            && !answers.iter().any(|(_, part)| is_of(part, index))
        {
            Asked::silent().write(Err(failure), out);
        }
    }
    outcome.into_failures()
}
