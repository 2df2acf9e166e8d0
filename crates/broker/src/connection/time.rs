//! The connection's one timer: what is due when, and what is done then.
//!
//! Called by [`super`] before it waits, and when the timer fires.

use std::pin::Pin;

use outflow_model::ErrorCode;
use tokio::time::{Instant, Sleep};

use super::Connection;
use crate::failure::Failure;
use crate::heart::Due;
use crate::link::Link;
use crate::session::{Input, Outbox as _, Session};

impl<L: Link<S::Outbox>, S: Session> Connection<L, S> {
    /// The timer fired; false: the client is gone or of no use.
    pub(super) fn tick(&mut self) -> bool {
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            tracing::info!(session = %self.session.name(), "nobody logged in in time");
            return false;
        }
        if self.is_writing() && self.took + self.terms.limits.write_stall <= now {
            self.terms.stalled.inc();
            tracing::info!(session = %self.session.name(), "the client took no bytes for too long");
            return false;
        }
        if self.frame_due.is_some_and(|due| due <= now) {
            self.mind_frame(now);
        }
        if self.session.due().is_some_and(|due| due <= now) {
            self.apply(Input::Due(now));
        }
        match self.heart.due(now) {
            Due::At(_) => {}
            // What was not read cannot be missed.
            Due::Silent if !self.takes_commands() => self.heart.read(now),
            Due::Silent => {
                self.terms.silent.inc();
                tracing::info!(session = %self.session.name(), "the client was silent for too long");
                return false;
            }
            Due::Beat => {
                // Bytes that wait say more than a sign of life behind them.
                if self.out.is_empty() {
                    self.session.beat(&mut self.out);
                }
                self.heart.wrote(now);
            }
        }
        true
    }

    /// Nothing came for too long of a frame that has begun; unless nothing was read.
    fn mind_frame(&mut self, now: Instant) {
        if !self.starved || !self.takes_commands() {
            self.frame_due = Some(now + self.terms.limits.frame_timeout);
            return;
        }
        self.terms.unfinished.inc();
        tracing::info!(session = %self.session.name(), "the rest of a frame did not come in time");
        let message = "The rest of the frame did not come in time";
        self.give_up_frame(&Failure::fatal(ErrorCode::Timeout, message));
    }

    /// Whether bytes wait for the socket.
    pub(super) fn is_writing(&self) -> bool {
        !self.out.is_empty() || self.link.has_unsent()
    }

    /// Sets the timer to what is due next, if that is earlier than what it is set to.
    pub(super) fn set_timer(&mut self, timer: Pin<&mut Sleep>) {
        let now = Instant::now();
        if !self.is_writing() {
            self.took = now;
        }
        let due = match self.heart.due(now) {
            Due::At(at) => at,
            Due::Beat | Due::Silent => now,
        };
        let stall = self.is_writing().then(|| self.took + self.terms.limits.write_stall);
        let all = [Some(due), self.deadline, self.frame_due, stall, self.session.due()];
        let due = all.into_iter().flatten().min().unwrap_or(due);
        if timer.is_elapsed() || due < timer.deadline() {
            timer.reset(due);
        }
    }
}
