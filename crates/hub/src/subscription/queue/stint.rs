//! What choosing may cost while a queue's lock is held.
//!
//! Used by `distribution`. Consumers' selectors are asked under the lock, for which others wait: when a
//! stint is spent, what is left waits for the next, which the project's line begins (`line`).
//!
//! Invariants: of one event no consumer is asked twice by two stints, so that each comes further,
//! however many consumers there are; an answer is known no longer than its event stands first.

use std::cell::{Cell, RefCell};

use outflow_model::Offset;

/// An event as it stands first: its feed, where it is, and how often it was handed out.
pub(super) type Asked = (u32, Offset, u32);

/// So many answers of one stint are looked through before a consumer is asked again.
const RECENT: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Stint {
    /// The steps that are left.
    left: Cell<usize>,
    /// Whether somebody was not asked, for want of steps.
    is_over: Cell<bool>,
    /// Of which event answers are known.
    event: Option<Asked>,
    /// The answers of earlier stints, by consumer, in order.
    known: Vec<(u64, bool)>,
    /// Those of this one.
    fresh: RefCell<Vec<(u64, bool)>>,
}

impl Stint {
    /// Begins one of so many steps.
    pub(super) fn begin(&mut self, steps: usize) {
        self.left.set(steps.max(1));
        self.is_over.set(false);
    }

    /// From now on it is about this event.
    pub(super) fn about(&mut self, event: Asked) {
        if self.event != Some(event) {
            self.event = Some(event);
            self.known.clear();
            self.fresh.get_mut().clear();
        }
    }

    /// Whether a consumer wants the event; `look` tells it, and the steps that took. `None`: that is
    /// for the next stint.
    pub(super) fn ask(&self, consumer: u64, look: impl FnOnce() -> (bool, usize)) -> Option<bool> {
        let known = self.known.binary_search_by_key(&consumer, |(one, _)| *one).ok();
        if let Some((_, answer)) = known.and_then(|at| self.known.get(at)) {
            return Some(*answer);
        }
        // Who was asked whether it takes an event is asked again whether it would.
        let again =
            self.fresh.borrow().iter().take(RECENT).find(|(one, _)| *one == consumer).copied();
        if let Some((_, answer)) = again {
            return Some(answer);
        }
        let left = self.left.get();
        if left == 0 {
            self.is_over.set(true);
            return None;
        }
        let (answer, steps) = look();
        self.left.set(left.saturating_sub(steps));
        self.fresh.borrow_mut().push((consumer, answer));
        Some(answer)
    }

    /// Ends it; whether something is left for the next.
    pub(super) fn end(&mut self) -> bool {
        let is_over = self.is_over.replace(false);
        if is_over {
            self.known.append(self.fresh.get_mut());
            self.known.sort_unstable();
            self.known.dedup();
        } else {
            self.event = None;
            self.known.clear();
        }
        is_over
    }
}
