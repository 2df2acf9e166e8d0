//! What connections know of each other: which temporary destinations there are, and who is there.
//!
//! A client sends to a temporary destination of another connection only when it was told of it
//! (reference `activemq.md` a3), so each connection that asks is told of those there are, and of
//! those that come and go. Those who ask for more are told of connections, consumers and producers
//! (`presence`), and of the queues and topics that are used. What one owner's connections are told
//! is on its [`Board`], behind a lock of its own: owners do not wait for each other.
//!
//! Invariants: a customer, and an integration, are told of what is their own credential's only. Who
//! does not take its news holds up nobody and loses no connection: it misses some, and what must not
//! be missed, the temporary destinations, it is told anew.

mod board;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use outflow_hub::destination::Destination;
use outflow_model::{CredentialId, Grant, ProjectId};
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;

use super::presence::{Presence, Word};
use super::seat::{Seat, Seats};
use crate::wire::ConnectionInfo;
use board::{Board, Listener};

/// The topics of queues and of topics.
pub(super) const QUEUE: &str = "ActiveMQ.Advisory.Queue";
pub(super) const TOPIC: &str = "ActiveMQ.Advisory.Topic";

/// How many news may wait for a connection.
const MAX_NEWS: usize = 4_096;
/// How many queues and topics, and how many connections, consumers and producers that are there, are
/// told of one by one to who asks anew.
pub(super) const MAX_LASTING: usize = 10_000;

/// Who is told of what: the members of a project, or a credential that is kept to destinations or
/// belongs to an integration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    project: Option<ProjectId>,
    credential: Option<CredentialId>,
}

impl Owner {
    pub(super) fn of(grant: &Grant) -> Self {
        let is_apart = grant.destinations.is_some() || grant.integration.is_some();
        let credential = is_apart.then(|| grant.credential.clone());
        Self { project: grant.project.clone(), credential }
    }
}

/// What a connection is told.
#[derive(Debug, Clone)]
pub enum Advice {
    /// A destination was made or removed; of those that are not temporary, used.
    Destination {
        /// Which.
        destination: Destination,
        /// The id of the connection that it is of.
        connection: Arc<str>,
        /// Whether it was made.
        is_made: bool,
    },
    /// Somebody came or went.
    Word(Arc<Word>),
}

impl Advice {
    fn made(destination: &Destination, connection: &Arc<str>, is_made: bool) -> Self {
        let (destination, connection) = (destination.clone(), Arc::clone(connection));
        Self::Destination { destination, connection, is_made }
    }
}

/// See the module. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<State>);

#[derive(Debug, Default)]
struct State {
    seats: Seats,
    boards: RwLock<HashMap<Owner, Arc<Mutex<Board>>>>,
    serial: AtomicU64,
}

/// What a connection that asks is told of besides temporary destinations.
#[derive(Debug)]
pub(super) struct Interest<'a> {
    /// The topics.
    pub(super) topics: &'a [String],
    /// The queues and topics there are, of those that it may see.
    pub(super) lasting: Vec<Destination>,
    /// All the topics that the connection wants to hear from now on.
    pub(super) all: Vec<String>,
}

/// What a connection is told.
#[derive(Debug)]
pub struct News {
    hears: mpsc::Receiver<Advice>,
    has_missed: Arc<AtomicBool>,
}

impl Live {
    /// Takes a connection id, from whoever has it.
    #[must_use]
    pub fn sit(&self, credential: &CredentialId, connection: &str) -> Seat {
        self.0.seats.sit(credential, connection)
    }

    /// A number that no other message of the server's own has.
    pub(super) fn serial(&self) -> u64 {
        self.0.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Does something with an owner's board, if there is one.
    fn with<T>(&self, owner: &Owner, change: impl FnOnce(&mut Board) -> T) -> Option<T> {
        let board = self.0.boards.read().get(owner).cloned()?;
        let mut board = board.lock();
        (!board.is_over).then(|| change(&mut board))
    }

    /// The same; there is one from now on.
    fn with_new<T>(&self, owner: &Owner, change: impl FnOnce(&mut Board) -> T) -> T {
        loop {
            let known = self.0.boards.read().get(owner).cloned();
            let board = match known {
                Some(board) => board,
                None => self.0.boards.write().entry(owner.clone()).or_default().clone(),
            };
            let mut board = board.lock();
            // One that was just given up is no longer among all.
            if !board.is_over {
                return change(&mut board);
            }
        }
    }

    /// Gives up a board that nothing is on. One that is in use just now stays until it is looked at
    /// again.
    fn give_up(&self, owner: &Owner) {
        let mut boards = self.0.boards.write();
        let Some(board) = boards.get(owner).cloned() else { return };
        if let Some(mut board) = board.try_lock()
            && board.is_idle()
        {
            board.is_over = true;
            boards.remove(owner);
        }
    }

    /// Tells what there is, and from now on what comes and goes: with `joins` all of it, to one that
    /// has not asked before.
    pub(super) fn watch(
        &self,
        owner: &Owner,
        session: u64,
        joins: bool,
        interest: Option<Interest<'_>>,
    ) -> (Vec<Advice>, Option<News>) {
        self.with_new(owner, |board| {
            let news = joins.then(|| {
                let (tell, hears) = mpsc::channel(MAX_NEWS);
                let has_missed = Arc::new(AtomicBool::new(false));
                board.join(session, Listener::new(tell, Arc::clone(&has_missed)));
                News { hears, has_missed }
            });
            let mut there = board.temporary();
            if let Some(interest) = interest {
                there.extend(board.all(&interest));
                board.note(interest.lasting);
                board.wonder(session, interest.all);
            }
            (there, news)
        })
    }

    /// A connection that watches wants to hear of these topics, besides temporary destinations.
    pub(super) fn wonder(&self, owner: &Owner, session: u64, topics: Vec<String>) {
        self.with(owner, |board| board.wonder(session, topics));
    }

    /// The temporary destinations there are.
    pub(super) fn temporary(&self, owner: &Owner) -> Vec<Advice> {
        self.with(owner, |board| board.temporary()).unwrap_or_default()
    }

    /// A connection has logged in.
    pub(super) fn arrive(&self, owner: &Owner, session: u64, info: ConnectionInfo) {
        self.with_new(owner, |board| board.change(|presence| presence.arrive(session, info)));
    }

    /// A connection has ended.
    pub(super) fn depart(&self, owner: &Owner, session: u64, connection: &str) {
        let is_idle = self.with(owner, |board| {
            board.leave(session);
            board.change(|presence| presence.depart(connection, Some(session)));
            board.is_idle()
        });
        if is_idle == Some(true) {
            self.give_up(owner);
        }
    }

    /// A connection's consumers or producers come or go.
    pub(super) fn change(&self, owner: &Owner, change: impl FnOnce(&mut Presence) -> Vec<Word>) {
        self.with(owner, |board| board.change(change));
    }

    /// Queues and topics are used: who wants to hear of them is told the first time.
    pub(super) fn used(&self, owner: &Owner, connection: &Arc<str>, all: &[Destination]) {
        self.with(owner, |board| board.used(connection, all));
    }

    /// A temporary destination was made.
    pub(super) fn add(&self, owner: &Owner, connection: &str, destination: &Destination) {
        self.with_new(owner, |board| board.add(&connection.into(), destination));
    }

    /// A temporary destination was removed.
    pub(super) fn remove(&self, owner: &Owner, connection: &str, destination: &Destination) {
        let is_idle = self.with(owner, |board| {
            board.remove(&connection.into(), destination);
            board.is_idle()
        });
        if is_idle == Some(true) {
            self.give_up(owner);
        }
    }
}

impl News {
    /// Waits for news. A call that is dropped loses nothing.
    pub async fn next(&mut self) -> Vec<Advice> {
        let mut all = Vec::new();
        self.hears.recv_many(&mut all, 64).await;
        all
    }

    /// Whether some were missed because these were not taken in time, once they are.
    pub(super) fn has_missed(&self) -> bool {
        self.hears.is_empty() && self.has_missed.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use outflow_hub::destination::Kind;

    use super::*;

    fn owner() -> Owner {
        Owner { project: None, credential: None }
    }

    fn temporary(number: usize) -> Destination {
        Destination::new(Kind::TempQueue, &format!("ID:c:1:{number}")).unwrap()
    }

    #[tokio::test]
    async fn who_does_not_take_its_news_misses_some_and_can_see_what_there_is() {
        let live = Live::default();
        let (there, news) = live.watch(&owner(), 1, true, None);
        let mut news = news.unwrap();
        assert!(there.is_empty());
        for number in 0..MAX_NEWS + 10 {
            live.add(&owner(), "ID:c:1", &temporary(number));
        }
        let mut heard = 0;
        while heard < MAX_NEWS {
            assert!(!news.has_missed(), "those that wait come first");
            heard += news.next().await.len();
        }
        assert!(news.has_missed() && !news.has_missed());
        assert_eq!(live.temporary(&owner()).len(), MAX_NEWS + 10);
        live.remove(&owner(), "ID:c:1", &temporary(0));
        assert_eq!(news.next().await.len(), 1, "it still hears");
    }

    #[test]
    fn boards_go_with_all_that_is_on_them() {
        let live = Live::default();
        live.arrive(&owner(), 1, ConnectionInfo::default());
        live.watch(&owner(), 1, true, None);
        live.add(&owner(), "ID:c:1", &temporary(0));
        live.depart(&owner(), 1, "");
        assert_eq!(live.0.boards.read().len(), 1);
        live.remove(&owner(), "ID:c:1", &temporary(0));
        assert_eq!(live.0.boards.read().len(), 0);
    }

    #[tokio::test]
    async fn what_a_connection_no_longer_wants_to_hear_is_forgotten() {
        let live = Live::default();
        let (_, news) = live.watch(&owner(), 1, true, None);
        let mut news = news.unwrap();
        let queue = |name: &str| Destination::new(Kind::Queue, name).unwrap();
        live.wonder(&owner(), 1, vec![QUEUE.to_owned()]);
        live.used(&owner(), &"c".into(), &[queue("a")]);
        assert_eq!(news.next().await.len(), 1);
        live.wonder(&owner(), 1, Vec::new());
        live.used(&owner(), &"c".into(), &[queue("b")]);
        live.add(&owner(), "ID:c:1", &temporary(0));
        let told = news.next().await;
        let [Advice::Destination { destination, .. }] = told.as_slice() else { panic!("{told:?}") };
        assert!(destination.kind.is_temporary());
    }
}
