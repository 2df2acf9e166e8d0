//! Connections whose endpoint has taken a batch and has not ended them: it may still read, or work.
//!
//! Made by [`exchange`](super::exchange), kept by the client. A connection that is closed with something unread on it
//! is reset, and what of the request is on its way goes with it; so what an endpoint goes on to say is read and thrown
//! away until it ends. That holds up nothing: what became of the batch is known.
//!
//! Invariants: there are no more than [`Rests`] has room for, and none is there for longer than [`LONGEST`]; what is
//! read of one is bounded by what was sent to it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use outflow_model::ProjectId;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::line::Line;

/// How long one is kept: twice as long as the longest attempt.
const LONGEST: Duration = Duration::from_secs(120);
/// After how long an endpoint that goes on with its answer is told that nothing more comes.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much is thrown away, beyond twice what was sent: what an endpoint says of what it reads is no more.
const THROWN: usize = 1 << 20;
/// How many there are of all projects, and of one.
const MAX: usize = 1_000;
const MAX_OF_ONE: usize = 250;

/// A connection that is read out. See the module.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) line: Line,
    /// How many bytes were sent.
    pub(super) sent: usize,
    /// Whether its answer is over: then it is told at once that nothing more comes.
    pub(super) is_over: bool,
}

impl Rest {
    /// Waits for its end, until `deadline` at most.
    pub(super) async fn end(mut self, deadline: Instant) {
        let mut left = self.sent.saturating_mul(2).saturating_add(THROWN);
        if !self.is_over {
            let patience = deadline.min(Instant::now() + PATIENCE);
            if timeout_at(patience, self.throw_away(&mut left)).await.is_ok() {
                return;
            }
        }
        let ending = async {
            // One that has gone already has ended as well.
            let _ = poll_fn(|cx| self.line.stream().poll_shutdown(cx)).await;
            self.throw_away(&mut left).await;
        };
        let _ = timeout_at(deadline, ending).await;
    }

    /// Reads until it ends, or has said too much.
    async fn throw_away(&mut self, left: &mut usize) {
        while *left > 0 {
            match poll_fn(|cx| self.line.poll_read(cx).map_ok(<[u8]>::len)).await {
                Ok(0) | Err(_) => return,
                Ok(bytes) => *left = left.saturating_sub(bytes),
            }
        }
    }
}

/// How many there are, by project; no project with none.
#[derive(Debug, Default)]
pub(super) struct Rests(Mutex<(usize, HashMap<ProjectId, usize>)>);

/// One of them, until it is dropped.
#[derive(Debug)]
struct Place {
    rests: Arc<Rests>,
    project: ProjectId,
}

impl Rests {
    /// Reads one out aside, or here and for no longer than until `deadline` where there is no room for one more.
    pub(super) async fn keep(self: &Arc<Self>, project: &ProjectId, rest: Rest, deadline: Instant) {
        let Some(place) = self.enter(project) else { return rest.end(deadline).await };
        tokio::spawn(async move {
            let _place = place;
            rest.end(Instant::now() + LONGEST).await;
        });
    }

    fn enter(self: &Arc<Self>, project: &ProjectId) -> Option<Place> {
        let mut counts = self.0.lock();
        let (all, projects) = &mut *counts;
        let count = projects.get(project).copied().unwrap_or(0);
        if *all >= MAX || count >= MAX_OF_ONE {
            return None;
        }
        *all += 1;
        projects.insert(project.clone(), count + 1);
        drop(counts);
        Some(Place { rests: Arc::clone(self), project: project.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.rests.0.lock();
        let (all, projects) = &mut *counts;
        *all = all.saturating_sub(1);
        if let Some(count) = projects.get_mut(&self.project) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                projects.remove(&self.project);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_project_has_all_the_room_and_it_comes_back() {
        let rests = Arc::new(Rests::default());
        let project = |number: usize| ProjectId::new(&format!("p{number}")).unwrap();
        let of = |number| -> Vec<Place> {
            std::iter::from_fn(|| rests.enter(&project(number))).collect()
        };
        let all: Vec<Vec<Place>> = (0..5).map(of).collect();
        let counts: Vec<usize> = all.iter().map(Vec::len).collect();
        assert_eq!(counts, [250, 250, 250, 250, 0]);
        drop(all);
        let left = rests.0.lock();
        assert_eq!((left.0, left.1.len()), (0, 0));
    }
}
