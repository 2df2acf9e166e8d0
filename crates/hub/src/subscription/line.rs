//! The lines of projects, in which loads go on that cost much.
//!
//! Entered by pumps, whose places such a load leaves: where it waited in them, one project's loads
//! would keep all others from loading; and by whoever looks into a subscription, for the choosing.
//! Calls `load`. A project has one line for each kind of work: who waits for a look does not hold up
//! who chooses.
//!
//! Invariants: of a project as many loads go on at once as it may have looks, and one that chooses, for
//! which projects take turns; what waits holds nothing that was read; after each round a load goes to
//! the end of its line, so that one that is far behind holds up no other; what is kept of a project is
//! gone when nobody waits.

use std::collections::{HashMap, VecDeque};
use std::num::NonZero;
use std::sync::{Arc, Weak};

use outflow_model::ProjectId;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::load::{Load, Round, Way};
use crate::hub::Inner;

/// See the module.
#[derive(Debug)]
pub(crate) struct Lines {
    projects: Mutex<HashMap<Key, Line>>,
    /// At most half of the processors choose at once.
    turns: Semaphore,
}

type Key = (ProjectId, Work);

/// What costs much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    /// Looking at events aside, with a view.
    Looking,
    /// Asking selectors, under the queue's lock, some at a time.
    Choosing,
}

impl Default for Lines {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self { projects: Mutex::default(), turns: Semaphore::new((processors / 2).max(1)) }
    }
}

/// A project's line.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Load>,
    /// How many clerks serve it.
    clerks: usize,
}

impl Lines {
    /// Lets a load go on when its turn comes.
    pub(crate) fn enter(&self, inner: &Arc<Inner>, work: Work, load: Load) {
        let key = (load.project().clone(), work);
        let clerks = match work {
            Work::Looking => inner.looks.share(),
            Work::Choosing => 1,
        };
        let mut projects = self.projects.lock();
        let line = projects.entry(key.clone()).or_default();
        line.waiting.push_back(load);
        if line.clerks < clerks {
            line.clerks += 1;
            drop(projects);
            let clerk = Clerk { inner: Arc::downgrade(inner), key, is_over: false };
            tokio::spawn(clerk.serve());
        }
    }

    /// The next of a project; `None`: nobody waits, and its clerk is gone.
    fn next(&self, key: &Key) -> Option<Load> {
        let mut projects = self.projects.lock();
        let line = projects.get_mut(key)?;
        let next = line.waiting.pop_front();
        if next.is_none() {
            line.clerks -= 1;
            if line.clerks == 0 {
                projects.remove(key);
            }
        }
        next
    }

    /// A clerk is gone in the middle of its work. Who waits for the last one begins anew.
    fn lose_clerk(&self, key: &Key) {
        let mut projects = self.projects.lock();
        let Some(line) = projects.get_mut(key) else { return };
        line.clerks -= 1;
        let left = if line.clerks == 0 { projects.remove(key) } else { None };
        drop(projects);
        // It ends under other locks.
        drop(left);
    }
}

/// Who serves a project's line.
#[derive(Debug)]
struct Clerk {
    inner: Weak<Inner>,
    key: Key,
    is_over: bool,
}

impl Clerk {
    async fn serve(mut self) {
        while let Some(inner) = self.inner.upgrade() {
            let Some(mut load) = inner.subscriptions.lines.next(&self.key) else {
                self.is_over = true;
                return;
            };
            let (_, work) = self.key;
            let lines = &inner.subscriptions.lines;
            let way = match work {
                Work::Looking => Way::Own,
                Work::Choosing => Way::InTurn(&lines.turns),
            };
            match load.round(&inner, way).await {
                Round::Last => {}
                Round::More => lines.enter(&inner, work, load),
                Round::Costly => lines.enter(&inner, Work::Looking, load),
                Round::Spent => lines.enter(&inner, Work::Choosing, load),
            }
            drop(inner);
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        let inner = self.inner.upgrade().filter(|_| !self.is_over);
        if let Some(inner) = inner {
            inner.subscriptions.lines.lose_clerk(&self.key);
        }
    }
}
