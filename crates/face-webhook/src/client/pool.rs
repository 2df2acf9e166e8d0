//! Connections between requests.
//!
//! Owned by the client. The one that was used last is used next, so that those too many grow
//! old. One task looks after all of them, and only while there are any.
//!
//! Invariants: no more than the limits allow are kept, the oldest go first; a connection on which
//! something came while nobody asked is not used again.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use outflow_model::ProjectId;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::line::Line;
use crate::guard::Endpoint;

/// The most idle connections of one project to one host: as many as may be in use there at once.
const MAX_PER_KEY: usize = 32;
/// The longest time between two looks.
const LOOK: Duration = Duration::from_secs(5);

/// Who may share a connection: the requests of a project to a host and port. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    project: ProjectId,
    is_tls: bool,
    /// The `Host` header: name and port, written in one way only.
    authority: Arc<str>,
}

impl Key {
    pub(super) fn new(project: &ProjectId, endpoint: &Endpoint) -> Self {
        let (is_tls, authority) = (endpoint.is_tls(), endpoint.authority().into());
        Self { project: project.clone(), is_tls, authority }
    }

    pub(super) const fn project(&self) -> &ProjectId {
        &self.project
    }
}

#[derive(Debug)]
struct Idle {
    key: Key,
    since: Instant,
    line: Line,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which they were kept.
    lines: BTreeMap<u64, Idle>,
    /// Where those of a key are, oldest first; no key without any.
    by_key: BTreeMap<Key, Vec<u64>>,
    next: u64,
    /// Whether somebody looks after them.
    is_watched: bool,
}

/// The idle connections of a client. See the module.
#[derive(Debug)]
pub(super) struct Pool {
    max: usize,
    timeout: Duration,
    state: Mutex<State>,
}

impl Pool {
    pub(super) fn new(max: usize, timeout: Duration) -> Arc<Self> {
        Arc::new(Self { max, timeout, state: Mutex::default() })
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().lines.len()
    }

    /// A connection to use, if there is one that still lives.
    pub(super) fn take(&self, key: &Key) -> Option<Line> {
        loop {
            let mut idle = self.state.lock().pop_newest(key)?;
            if idle.since.elapsed() < self.timeout && idle.line.is_quiet() {
                return Some(idle.line);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn keep(self: &Arc<Self>, key: Key, line: Line) {
        let mut state = self.state.lock();
        // Dropped after the lock: to close a connection takes a call to the system.
        let mut over = Vec::new();
        if state.by_key.get(&key).is_some_and(|known| known.len() >= MAX_PER_KEY) {
            let oldest = state.by_key.get(&key).and_then(|known| known.first()).copied();
            over.extend(oldest.and_then(|oldest| state.remove(oldest)));
        }
        state.push(Idle { key, since: Instant::now(), line });
        while state.lines.len() > self.max {
            over.extend(state.pop_oldest());
        }
        if !state.is_watched && !state.lines.is_empty() {
            state.is_watched = true;
            tokio::spawn(watch(Arc::downgrade(self), LOOK.min(self.timeout)));
        }
        drop(state);
        drop(over);
    }

    /// Takes out those that are too old or have ended; says whether any are left.
    fn look(&self) -> bool {
        let mut state = self.state.lock();
        let is_over =
            |idle: &mut Idle| idle.since.elapsed() >= self.timeout || !idle.line.is_quiet();
        let over: Vec<u64> = state
            .lines
            .iter_mut()
            .filter_map(|(&number, idle)| is_over(idle).then_some(number))
            .collect();
        let over: Vec<Option<Idle>> = over.into_iter().map(|number| state.remove(number)).collect();
        state.is_watched = !state.lines.is_empty();
        let is_watched = state.is_watched;
        drop(state);
        drop(over);
        is_watched
    }
}

/// Looks after a pool until it is empty, or gone.
async fn watch(pool: Weak<Pool>, every: Duration) {
    loop {
        sleep(every).await;
        if !pool.upgrade().is_some_and(|pool| pool.look()) {
            return;
        }
    }
}

impl State {
    fn push(&mut self, idle: Idle) {
        let number = self.next;
        self.next += 1;
        self.by_key.entry(idle.key.clone()).or_default().push(number);
        self.lines.insert(number, idle);
    }

    fn pop_newest(&mut self, key: &Key) -> Option<Idle> {
        let number = *self.by_key.get(key)?.last()?;
        self.remove(number)
    }

    fn pop_oldest(&mut self) -> Option<Idle> {
        let number = *self.lines.first_key_value()?.0;
        self.remove(number)
    }

    fn remove(&mut self, number: u64) -> Option<Idle> {
        let idle = self.lines.remove(&number)?;
        if let Some(known) = self.by_key.get_mut(&idle.key) {
            known.retain(|one| *one != number);
            if known.is_empty() {
                self.by_key.remove(&idle.key);
            }
        }
        Some(idle)
    }
}
