//! Whose turn it is to look aside.
//!
//! Used by `aside`. A turn is one of all turns and one of its project's: who waits for a project's does
//! not stand in the line of all, so that a project with many looks holds up another for one of them
//! at most, however many wait.
//!
//! Invariants: where there are several turns no project has all; what is kept of a project is gone
//! when nobody of it looks or waits; who is dropped while it waits leaves its place to the next.

use std::collections::HashMap;
use std::sync::Arc;

use outflow_model::ProjectId;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turns of all projects.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    /// How many a project may have at once.
    share: usize,
    projects: Mutex<HashMap<ProjectId, Share>>,
}

/// A project's turns.
#[derive(Debug)]
struct Share {
    turns: Arc<Semaphore>,
    /// How many have or wait for one.
    places: usize,
}

/// A turn, given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    // In this order: who waits for one of all goes first, and the project is forgotten last.
    _of_all: OwnedSemaphorePermit,
    _of_project: OwnedSemaphorePermit,
    _place: Place,
}

/// A place among those of a project.
#[derive(Debug)]
struct Place {
    turns: Arc<Turns>,
    project: ProjectId,
}

impl Turns {
    /// So many turns.
    pub(crate) fn new(count: usize) -> Arc<Self> {
        let (all, share) = (Arc::new(Semaphore::new(count)), (count / 2).max(1));
        Arc::new(Self { all, share, projects: Mutex::default() })
    }

    /// How many a project may have at once.
    pub(crate) const fn share(&self) -> usize {
        self.share
    }

    /// Waits for a turn of `project`.
    pub(super) async fn take(self: Arc<Self>, project: ProjectId) -> Option<Turn> {
        let all = self.all.clone();
        let (place, share) = self.enter(project);
        let of_project = share.acquire_owned().await.ok()?;
        let of_all = all.acquire_owned().await.ok()?;
        Some(Turn { _of_all: of_all, _of_project: of_project, _place: place })
    }

    fn enter(self: Arc<Self>, project: ProjectId) -> (Place, Arc<Semaphore>) {
        let mut projects = self.projects.lock();
        let fresh = || Share { turns: Arc::new(Semaphore::new(self.share)), places: 0 };
        let share = projects.entry(project.clone()).or_insert_with(fresh);
        share.places += 1;
        let turns = share.turns.clone();
        drop(projects);
        (Place { turns: self, project }, turns)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut projects = self.turns.projects.lock();
        let Some(share) = projects.get_mut(&self.project) else { return };
        share.places -= 1;
        if share.places == 0 {
            projects.remove(&self.project);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::FutureExt;

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Option<Turn>>>>;

    /// A look of `project` that has asked for its turn.
    fn ask(turns: &Arc<Turns>, project: &str) -> (Waiting, Option<Turn>) {
        let mut waiting: Waiting = Box::pin(turns.clone().take(ProjectId::new(project).unwrap()));
        let turn = (&mut waiting).now_or_never().flatten();
        (waiting, turn)
    }

    #[test]
    fn a_project_with_many_looks_holds_up_another_for_one_of_them() {
        let turns = Turns::new(1);
        let (_, first) = ask(&turns, "many");
        assert!(first.is_some());
        let mut many: Vec<_> = (0..40).map(|_| ask(&turns, "many").0).collect();
        let (mut other, turn) = ask(&turns, "other");
        assert!(turn.is_none());
        // One that has waited longest and is given up keeps nobody waiting.
        drop(many.remove(0));
        drop(first);
        assert!(many.iter_mut().all(|one| one.now_or_never().is_none()));
        let turn = (&mut other).now_or_never().flatten();
        assert!(turn.is_some(), "the other's turn is next");
        drop(turn);
        for mut one in many {
            assert!((&mut one).now_or_never().flatten().is_some(), "each has its turn");
        }
        assert!(turns.projects.lock().is_empty(), "nothing is kept of who is done");
    }

    #[test]
    fn no_project_has_all_turns() {
        let turns = Turns::new(4);
        let many: Vec<_> = (0..40).map(|_| ask(&turns, "many")).collect();
        assert_eq!(many.iter().filter(|(_, turn)| turn.is_some()).count(), 2);
        assert!(ask(&turns, "other").1.is_some());
    }
}
