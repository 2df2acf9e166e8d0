//! What becomes of a batch, and of its endpoint, when an attempt has ended.
//!
//! Called by [`Session::apply`](super::Session::apply).

use outflow_model::{Rng, Timestamp};

use super::batch::BatchId;
use super::{APART_AFTER, Disabled, Held, Output, SHORT, Session, later};
use crate::outcome::Outcome;

impl<E: Held> Session<E> {
    /// An attempt has ended.
    pub(super) fn end(&mut self, batch: BatchId, outcome: &Outcome, now: Timestamp, rng: &dyn Rng) {
        self.tried = Some(now).filter(|_| *outcome != Outcome::Taken).or(self.tried);
        let is_news = match outcome {
            Outcome::Taken => {
                let done = self.lanes.finish(batch);
                self.outputs.extend(done.map(Output::Done));
                self.health.succeed()
            }
            Outcome::Refused { .. } if self.is_back_first(batch) => {
                // It is asked once more when its events are here, which are set aside then.
                self.lanes.take_back(batch, now);
                self.health.fail(now) == 1
            }
            Outcome::Refused { .. } if self.rules.by_key && self.lanes.is_mixed(batch) => {
                // One of its keys may be all that is refused: only that is set aside.
                self.lanes.take_back(batch, now);
                self.lanes.part(batch, now);
                self.health.fail(now) == 1
            }
            Outcome::Refused { status } => {
                let parked = self.lanes.take(batch);
                self.outputs.extend(parked.map(|events| Output::Park(events, *status)));
                // It did nothing but refuse: that is failing, though nothing waits for it.
                self.health.fail(now) == 1
            }
            Outcome::Gone => {
                self.health.fail(now);
                self.lanes.fail(batch, now, now);
                self.disable(Disabled::Gone, now);
                true
            }
            Outcome::Again { failure, wish } => {
                let count = self.health.fail(now);
                let Some(failures) = self.lanes.failures(batch) else {
                    // It is one of before the place was moved.
                    self.lanes.take(batch);
                    return;
                };
                let is_apart = self.rules.by_key
                    && self.lanes.is_mixed(batch)
                    && !self.lanes.is_outdated(batch)
                    && (failures + 1 >= APART_AFTER || failure.is_fault());
                // None of its keys has failed by itself: each has the whole schedule ahead.
                let count_of_pause = if is_apart { 1 } else { failures + 1 };
                let pause = self.rules.schedule.pause(count_of_pause, *wish, rng);
                if is_apart {
                    self.lanes.take_back(batch, now);
                    self.lanes.part(batch, later(now, pause));
                } else {
                    self.lanes.fail(batch, now, later(now, pause));
                }
                if !self.rules.by_key && pause > SHORT {
                    self.leave();
                }
                count == 1 || pause > SHORT
            }
        };
        self.look_at_landed(batch);
        if is_news {
            self.outputs.push(Output::Store);
        }
    }

    /// Whether a batch that was refused has to come back before it is known what becomes of it.
    fn is_back_first(&self, batch: BatchId) -> bool {
        let lanes = &self.lanes;
        lanes.is_given_back(batch) || (lanes.is_outdated(batch) && lanes.is_mixed(batch))
    }
}
