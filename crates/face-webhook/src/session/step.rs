//! What happens to an endpoint, and what is to be done then.
//!
//! Between the post and the [`Session`](super::Session).

use outflow_model::Offset;

use super::batch::BatchId;
use super::rules::{Disabled, Rules};
use super::stuck::Stuck;
use crate::health::Alert;
use crate::outcome::Outcome;

/// What happens to an endpoint.
#[derive(Debug)]
pub enum Input<E> {
    /// Events have come, in order.
    Arrived(Vec<E>),
    /// An attempt has ended.
    Ended(BatchId, Outcome),
    /// A batch that was to be sent was not, for no fault of the endpoint.
    Unsent(BatchId),
    /// Time has passed, and nothing more comes by itself of what there is.
    Due,
    /// Time has passed, and the hub still looks for what may come.
    Looking,
    /// What was taken has gone back by itself: the consumer is no more.
    Lost,
    /// There is no room for what it holds: it takes nothing for a while.
    Shed,
    /// What the endpoint is entitled to is other than it was: what it holds is looked at again. These batches were
    /// to be sent and were not: no other is about to be.
    Entitled(Vec<BatchId>),
    /// The place is about to be moved: what was taken goes back first, and no more is taken before
    /// [`Input::Moved`] or [`Input::Reopened`].
    Moving,
    /// The place was moved: what is known of batches counts no more, nor what is under way.
    Moved,
    /// Events come again that were done: all from there on, and others. Batches stay what they are, and what
    /// stands before and is under way need not come again when it is taken.
    Reopened(Offset),
    /// The settings are others.
    Changed(Rules),
    /// What is sent goes elsewhere, or with other headers: what failed before is no guide to it.
    Redirected,
    /// What failed is tried now.
    Retry,
    /// What was disabled begins again.
    Resumed,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<E> {
    /// Take events, from the first that is not settled on.
    Join,
    /// Take none, and give back what was taken.
    Leave,
    /// Send a batch; [`Session::batch`](super::Session::batch) has it. Where it could be cut elsewhere another time, what
    /// [`Session::note`](super::Session::note) says is stored before.
    Send {
        /// Which.
        batch: BatchId,
        /// Whether the note is stored before.
        is_noted: bool,
    },
    /// These go back, and come again; so does what was handed out and has not arrived, behind them.
    GiveBack(Vec<E>),
    /// These events are done.
    Done(Vec<E>),
    /// These will never be taken: they are set aside, with the status of the answer.
    Park(Vec<E>, u16),
    /// Operators hear of this.
    Alert(Alert),
    /// And of this.
    Stuck(Stuck),
    /// Nothing is sent any more.
    Disable(Disabled),
    /// What [`Session::note`](super::Session::note) says is to be stored.
    Store,
}
