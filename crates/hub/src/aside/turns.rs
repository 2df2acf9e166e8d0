//! Whose turn it is to look aside.
//!
//! Used by `aside`. A turn is one of all turns and one of its project's: who waits for a project's does
//! not stand in the line of all, so that a project with many looks stands there once, however many
//! wait. Who has looked for long goes to the end of the line of all ([`Turn::pass_on`]), and stays the
//! one of its project.
//!
//! Invariants: where there are several turns no project has all; those who have begun and wait to go on,
//! each of which keeps a thread, are bounded; what is kept of a project is gone when nobody of it looks or
//! waits; who is dropped while it waits leaves its place to the next.

use std::collections::HashMap;
use std::sync::Arc;

use outflow_model::ProjectId;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many looks may have begun: an eighth of the threads that tokio has for such work.
const MAX_BEGUN: usize = 64;

/// The turns of all projects.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    begun: Arc<Semaphore>,
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
    of_all: Option<OwnedSemaphorePermit>,
    _begun: OwnedSemaphorePermit,
    _of_project: OwnedSemaphorePermit,
    place: Place,
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
        let [all, begun] = [count, MAX_BEGUN.max(count)].map(|most| Arc::new(Semaphore::new(most)));
        Arc::new(Self { all, begun, share: (count / 2).max(1), projects: Mutex::default() })
    }

    /// How many a project may have at once.
    pub(crate) const fn share(&self) -> usize {
        self.share
    }

    /// Waits for a turn of `project`.
    pub(super) async fn take(self: Arc<Self>, project: ProjectId) -> Option<Turn> {
        let (all, begun) = (self.all.clone(), self.begun.clone());
        let (place, share) = self.enter(project);
        let of_project = share.acquire_owned().await.ok()?;
        let begun = begun.acquire_owned().await.ok()?;
        let of_all = Some(all.acquire_owned().await.ok()?);
        Some(Turn { of_all, _begun: begun, _of_project: of_project, place })
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

impl Turn {
    /// Lets those go first who wait for one of all. Blocks meanwhile: for threads that may.
    pub(super) fn pass_on(&mut self) {
        let all = self.place.turns.all.clone();
        self.of_all = None;
        // Nobody closes it.
        self.of_all = Handle::current().block_on(all.acquire_owned()).ok();
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
    fn a_project_with_many_looks_stands_in_line_once() {
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

    #[tokio::test]
    async fn who_has_looked_for_long_lets_another_project_go_first() {
        let turns = Turns::new(1);
        let (_, turn) = ask(&turns, "many");
        let mut turn = turn.unwrap();
        let (mut again, _) = ask(&turns, "many");
        let (other, _) = ask(&turns, "other");
        let back = tokio::task::spawn_blocking(move || {
            turn.pass_on();
            turn
        });
        let of_other = other.await.unwrap();
        assert!(!back.is_finished(), "it waits to go on");
        assert!((&mut again).now_or_never().is_none(), "another look of its project has to wait");
        drop(of_other);
        let turn = back.await.unwrap();
        assert!((&mut again).now_or_never().is_none(), "it goes on before");
        drop(turn);
        assert!(again.await.is_some());
    }

    #[test]
    fn so_many_looks_have_begun_at_most() {
        let turns = Turns::new(1);
        let begin = |of: usize| {
            let (waiting, turn) = ask(&turns, &of.to_string());
            // As one that waits to go on.
            (waiting, turn.map(|turn| Turn { of_all: None, ..turn }))
        };
        let mut begun: Vec<_> = (0..MAX_BEGUN).map(|of| begin(of).1.unwrap()).collect();
        let (mut late, turn) = begin(MAX_BEGUN);
        assert!(turn.is_none());
        begun.pop();
        assert!((&mut late).now_or_never().flatten().is_some());
    }

    #[test]
    fn no_project_has_all_turns() {
        let turns = Turns::new(4);
        let many: Vec<_> = (0..40).map(|_| ask(&turns, "many")).collect();
        assert_eq!(many.iter().filter(|(_, turn)| turn.is_some()).count(), 2);
        assert!(ask(&turns, "other").1.is_some());
    }
}
