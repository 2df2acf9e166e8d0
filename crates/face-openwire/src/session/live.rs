//! What connections know of each other: who has which connection id, and which temporary
//! destinations there are.
//!
//! A client that reconnects has the same connection id and takes it over at once; the connection
//! that had it ends first, so that its messages go back before they are handed out again (reference
//! `activemq.md` c4 Failover). A client sends to a temporary destination of another connection only
//! when it was told of it (a3), so each connection that asks is told of those there are, and of
//! those that come and go.
//!
//! Invariants: a customer is told of destinations of its own credential only; a connection that
//! does not take its news is ended, and nobody waits for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outflow_hub::destination::Destination;
use outflow_model::{CredentialId, Grant, ProjectId};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

/// How many news may wait for a connection.
const MAX_NEWS: usize = 4_096;
/// How long a connection whose id is taken over may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who is told of what: the members of a project, or a credential that is kept to destinations.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    project: Option<ProjectId>,
    credential: Option<CredentialId>,
}

impl Owner {
    pub(super) fn of(grant: &Grant) -> Self {
        let credential = grant.destinations.as_ref().map(|_| grant.credential.clone());
        Self { project: grant.project.clone(), credential }
    }
}

/// A temporary destination that was made or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Which.
    pub destination: Destination,
    /// The id of the connection that it is of.
    pub connection: Arc<str>,
    /// Whether it was made.
    pub is_made: bool,
}

/// See the module. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<State>);

#[derive(Debug, Default)]
struct State {
    seats: Mutex<HashMap<(CredentialId, String), Arc<Holder>>>,
    boards: Mutex<HashMap<Owner, Board>>,
    serial: AtomicU64,
}

/// What one owner's connections are told.
#[derive(Debug, Default)]
struct Board {
    temporary: BTreeMap<Destination, Arc<str>>,
    watchers: Vec<mpsc::Sender<Advice>>,
}

/// A connection that has an id.
#[derive(Debug)]
struct Holder {
    taken_over: Notify,
    gone: watch::Sender<bool>,
}

/// A connection id in use; dropping it gives it back.
#[derive(Debug)]
pub struct Seat {
    live: Live,
    key: (CredentialId, String),
    holder: Arc<Holder>,
    before: Option<Arc<Holder>>,
}

/// What a connection is told.
#[derive(Debug)]
pub struct News(mpsc::Receiver<Advice>);

impl Live {
    /// Takes a connection id, from whoever has it.
    #[must_use]
    pub fn sit(&self, credential: &CredentialId, connection: &str) -> Seat {
        let key = (credential.clone(), connection.to_owned());
        let holder =
            Arc::new(Holder { taken_over: Notify::new(), gone: watch::Sender::new(false) });
        let before = self.0.seats.lock().insert(key.clone(), Arc::clone(&holder));
        if let Some(before) = &before {
            before.taken_over.notify_one();
        }
        Seat { live: self.clone(), key, holder, before }
    }

    /// A number that no other message of the server's own has.
    pub(super) fn serial(&self) -> u64 {
        self.0.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Tells what there is, and then what comes and goes.
    pub(super) fn watch(&self, owner: &Owner) -> (Vec<Advice>, News) {
        let (tell, hears) = mpsc::channel(MAX_NEWS);
        let mut boards = self.0.boards.lock();
        let board = boards.entry(owner.clone()).or_default();
        board.watchers.retain(|watcher| !watcher.is_closed());
        board.watchers.push(tell);
        let made = |(destination, connection): (&Destination, &Arc<str>)| Advice {
            destination: destination.clone(),
            connection: Arc::clone(connection),
            is_made: true,
        };
        (board.temporary.iter().map(made).collect(), News(hears))
    }

    /// A temporary destination was made.
    pub(super) fn add(&self, owner: &Owner, connection: &str, destination: &Destination) {
        let mut boards = self.0.boards.lock();
        let board = boards.entry(owner.clone()).or_default();
        let connection: Arc<str> = connection.into();
        board.temporary.insert(destination.clone(), Arc::clone(&connection));
        board.tell(&Advice { destination: destination.clone(), connection, is_made: true });
    }

    /// A temporary destination was removed.
    pub(super) fn remove(&self, owner: &Owner, connection: &str, destination: &Destination) {
        let mut boards = self.0.boards.lock();
        let Some(board) = boards.get_mut(owner) else { return };
        if board.temporary.remove(destination).is_some() {
            let (destination, connection) = (destination.clone(), connection.into());
            board.tell(&Advice { destination, connection, is_made: false });
        }
        if board.temporary.is_empty() && board.watchers.iter().all(mpsc::Sender::is_closed) {
            boards.remove(owner);
        }
    }
}

impl Board {
    /// Tells all; who does not take its news hears no more, and ends by that.
    fn tell(&mut self, advice: &Advice) {
        self.watchers.retain(|watcher| watcher.try_send(advice.clone()).is_ok());
    }
}

impl News {
    /// Waits for news; none: there will be no more, because too many were not taken. A call that is
    /// dropped loses nothing.
    pub async fn next(&mut self) -> Vec<Advice> {
        let mut all = Vec::new();
        self.0.recv_many(&mut all, 64).await;
        all
    }
}

impl Seat {
    /// Waits until the connection that had the id before is gone.
    pub async fn free(&self) {
        let Some(before) = &self.before else { return };
        let mut gone = before.gone.subscribe();
        let left = async { gone.wait_for(|gone| *gone).await.is_ok() };
        if timeout(PATIENCE, left).await.is_err() {
            tracing::warn!(connection = self.key.1, "a connection that was taken over did not end");
        }
    }

    /// Waits until another connection takes the id.
    pub async fn taken_over(&self) {
        self.holder.taken_over.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.live.0.seats.lock();
        if seats.get(&self.key).is_some_and(|holder| Arc::ptr_eq(holder, &self.holder)) {
            seats.remove(&self.key);
        }
        drop(seats);
        self.holder.gone.send_replace(true);
    }
}
