//! The lines of projects, in which loads go on that cost much.
//!
//! Entered by pumps, whose places such a load leaves: where it waited in them, one project's loads
//! would keep all others from loading. Calls `load`.
//!
//! Invariants: of a project as many loads go on at once as it may have looks, and what waits holds
//! nothing that was read; after each round a load goes to the end of its line, so that one that is far
//! behind holds up no other; what is kept of a project is gone when nobody waits.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use outflow_model::ProjectId;
use parking_lot::Mutex;

use super::load::{Load, Round};
use crate::hub::Inner;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    projects: Mutex<HashMap<ProjectId, Line>>,
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
    pub(crate) fn enter(&self, inner: &Arc<Inner>, load: Load) {
        let project = load.project().clone();
        let mut projects = self.projects.lock();
        let line = projects.entry(project.clone()).or_default();
        line.waiting.push_back(load);
        if line.clerks < inner.looks.share() {
            line.clerks += 1;
            drop(projects);
            let clerk = Clerk { inner: Arc::downgrade(inner), project, is_over: false };
            tokio::spawn(clerk.serve());
        }
    }

    /// The next of a project; `None`: nobody waits, and its clerk is gone.
    fn next(&self, project: &ProjectId) -> Option<Load> {
        let mut projects = self.projects.lock();
        let line = projects.get_mut(project)?;
        let next = line.waiting.pop_front();
        if next.is_none() {
            line.clerks -= 1;
            if line.clerks == 0 {
                projects.remove(project);
            }
        }
        next
    }

    /// A clerk is gone in the middle of its work. Who waits for the last one begins anew.
    fn lose_clerk(&self, project: &ProjectId) {
        let mut projects = self.projects.lock();
        let Some(line) = projects.get_mut(project) else { return };
        line.clerks -= 1;
        let left = if line.clerks == 0 { projects.remove(project) } else { None };
        drop(projects);
        // It ends under other locks.
        drop(left);
    }
}

/// Who serves a project's line.
#[derive(Debug)]
struct Clerk {
    inner: Weak<Inner>,
    project: ProjectId,
    is_over: bool,
}

impl Clerk {
    async fn serve(mut self) {
        while let Some(inner) = self.inner.upgrade() {
            let Some(mut load) = inner.subscriptions.lines.next(&self.project) else {
                self.is_over = true;
                return;
            };
            if load.round(&inner, true).await != Round::Last {
                inner.subscriptions.lines.enter(&inner, load);
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
            inner.subscriptions.lines.lose_clerk(&self.project);
        }
    }
}
