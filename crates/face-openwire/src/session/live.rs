//! What connections know of each other: who has which connection id, and which temporary
//! destinations there are.
//!
//! A client that reconnects has the same connection id and takes it over at once; the connection
//! that had it ends first, so that its messages go back before they are handed out again (reference
//! `activemq.md` c4 Failover). A client sends to a temporary destination of another connection only
//! when it was told of it (a3), so each connection that asks is told of those there are, and of
//! those that come and go. Those who ask for more are told of connections, consumers and producers
//! (`presence`), and of the queues and topics that are used.
//!
//! Invariants: a customer is told of destinations of its own credential only; a connection that
//! does not take its news is ended, and nobody waits for it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outflow_hub::destination::Destination;
use outflow_model::destination::covers;
use outflow_model::{CredentialId, Grant, ProjectId};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use super::presence::{Presence, Word};
use crate::wire::ConnectionInfo;

/// The topics of queues and of topics.
pub(super) const QUEUE: &str = "ActiveMQ.Advisory.Queue";
pub(super) const TOPIC: &str = "ActiveMQ.Advisory.Topic";

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
    seats: Mutex<HashMap<(CredentialId, String), Arc<Holder>>>,
    boards: Mutex<HashMap<Owner, Board>>,
    serial: AtomicU64,
}

/// What one owner's connections are told.
#[derive(Debug, Default)]
struct Board {
    temporary: BTreeMap<Destination, Arc<str>>,
    presence: Presence,
    /// The queues and topics that were told of.
    lasting: HashSet<Destination>,
    /// Those who want to hear of temporary destinations: every Java client.
    watchers: Vec<mpsc::Sender<Advice>>,
    /// Those of them who want to hear of more, and by which topics.
    curious: Vec<Curious>,
}

/// A connection that wants to hear of more than temporary destinations.
#[derive(Debug)]
struct Curious {
    session: u64,
    topics: Vec<String>,
    tell: mpsc::Sender<Advice>,
}

/// What a connection that asks is told of besides temporary destinations.
#[derive(Debug)]
pub(super) struct Interest<'a> {
    /// The session's number.
    pub(super) session: u64,
    /// The topics.
    pub(super) topics: &'a [String],
    /// The queues and topics there are, of those that it may see.
    pub(super) lasting: Vec<Destination>,
}

/// How many queues and topics, and how many connections, consumers and producers that are there, are
/// told of one by one to who asks anew.
pub(super) const MAX_LASTING: usize = 10_000;

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

/// A connection's way to be told of more; it does not keep the way open by itself.
#[derive(Debug)]
pub(super) struct Watch(mpsc::WeakSender<Advice>);

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

    /// Tells what there is, and then what comes and goes: `tell` is the way to who watches already.
    pub(super) fn watch(
        &self,
        owner: &Owner,
        interest: Option<Interest<'_>>,
        watch: &mut Option<Watch>,
    ) -> (Vec<Advice>, Option<News>) {
        let mut boards = self.0.boards.lock();
        let board = boards.entry(owner.clone()).or_default();
        let news = watch.is_none().then(|| {
            let (tell, hears) = mpsc::channel(MAX_NEWS);
            board.watchers.retain(|watcher| !watcher.is_closed());
            board.watchers.push(tell.clone());
            *watch = Some(Watch(tell.downgrade()));
            News(hears)
        });
        let made = |(destination, connection): (&Destination, &Arc<str>)| {
            Advice::made(destination, connection, true)
        };
        let mut there: Vec<Advice> = board.temporary.iter().map(made).collect();
        let tell = watch.as_ref().and_then(|watch| watch.0.upgrade());
        if let (Some(interest), Some(tell)) = (interest, tell) {
            there.extend(board.all(&interest));
            board.wonder(interest, tell);
        }
        (there, news)
    }

    /// A connection has logged in.
    pub(super) fn arrive(&self, owner: &Owner, session: u64, info: ConnectionInfo) {
        let mut boards = self.0.boards.lock();
        let board = boards.entry(owner.clone()).or_default();
        let words = board.presence.arrive(session, info);
        board.spread(words);
    }

    /// A connection has ended.
    pub(super) fn depart(&self, owner: &Owner, session: u64, connection: &str) {
        let mut boards = self.0.boards.lock();
        let Some(board) = boards.get_mut(owner) else { return };
        board.curious.retain(|one| one.session != session);
        let words = board.presence.depart(connection, Some(session));
        board.spread(words);
        if board.is_idle() {
            boards.remove(owner);
        }
    }

    /// A connection's consumers or producers come or go.
    pub(super) fn change(&self, owner: &Owner, change: impl FnOnce(&mut Presence) -> Vec<Word>) {
        let mut boards = self.0.boards.lock();
        let Some(board) = boards.get_mut(owner) else { return };
        let words = change(&mut board.presence);
        board.spread(words);
    }

    /// Queues and topics are used: who wants to hear of them is told the first time.
    pub(super) fn used(&self, owner: &Owner, connection: &Arc<str>, all: &[Destination]) {
        let mut boards = self.0.boards.lock();
        let Some(board) = boards.get_mut(owner).filter(|board| !board.curious.is_empty()) else {
            return;
        };
        for one in all.iter().filter(|one| !one.kind.is_temporary() && !one.has_wildcards()) {
            if board.lasting.len() < MAX_LASTING && board.lasting.insert(one.clone()) {
                board.tell_curious(lasting_topic(one), &Advice::made(one, connection, true));
            }
        }
    }

    /// A temporary destination was made.
    pub(super) fn add(&self, owner: &Owner, connection: &str, destination: &Destination) {
        let mut boards = self.0.boards.lock();
        let board = boards.entry(owner.clone()).or_default();
        let connection: Arc<str> = connection.into();
        board.temporary.insert(destination.clone(), Arc::clone(&connection));
        board.tell(&Advice::made(destination, &connection, true));
    }

    /// A temporary destination was removed.
    pub(super) fn remove(&self, owner: &Owner, connection: &str, destination: &Destination) {
        let mut boards = self.0.boards.lock();
        let Some(board) = boards.get_mut(owner) else { return };
        if board.temporary.remove(destination).is_some() {
            board.tell(&Advice::made(destination, &connection.into(), false));
        }
        if board.is_idle() {
            boards.remove(owner);
        }
    }
}

impl Board {
    /// Tells all; who does not take its news hears no more, and ends by that.
    fn tell(&mut self, advice: &Advice) {
        let before = self.watchers.len();
        self.watchers.retain(|watcher| watcher.try_send(advice.clone()).is_ok());
        if self.watchers.len() < before {
            self.drop_deaf();
        }
    }

    /// Whether there is nothing to keep it for.
    fn is_idle(&self) -> bool {
        self.temporary.is_empty()
            && self.presence.is_empty()
            && self.watchers.iter().all(mpsc::Sender::is_closed)
    }

    /// Those who hear no more are not curious either: their last sender must go for them to see it.
    fn drop_deaf(&mut self) {
        let watchers = &self.watchers;
        self.curious.retain(|one| watchers.iter().any(|tell| tell.same_channel(&one.tell)));
    }

    fn spread(&mut self, words: Vec<Word>) {
        if self.curious.is_empty() {
            return;
        }
        for word in words {
            let word = Arc::new(word);
            self.tell_curious(&word.topic, &Advice::Word(Arc::clone(&word)));
        }
    }

    fn tell_curious(&mut self, topic: &str, advice: &Advice) {
        let mut deaf = Vec::new();
        for one in &self.curious {
            let wants = one.topics.iter().any(|wanted| covers(wanted, topic));
            if wants && one.tell.try_send(advice.clone()).is_err() {
                deaf.push(one.tell.clone());
            }
        }
        if !deaf.is_empty() {
            let is_deaf = |tell: &mpsc::Sender<_>| deaf.iter().any(|one| one.same_channel(tell));
            self.watchers.retain(|tell| !is_deaf(tell));
            self.drop_deaf();
        }
    }

    /// What there is besides temporary destinations, of what is wanted.
    fn all(&self, interest: &Interest<'_>) -> Vec<Advice> {
        let is_wanted = |topic: &str| interest.topics.iter().any(|wanted| covers(wanted, topic));
        let nobody: Arc<str> = "".into();
        let lasting = interest.lasting.iter().filter(|one| is_wanted(lasting_topic(one)));
        let lasting = lasting.map(|one| Advice::made(one, &nobody, true));
        let words = self.presence.all().filter(|word| is_wanted(&word.topic)).take(MAX_LASTING);
        lasting.chain(words.map(|word| Advice::Word(Arc::new(word)))).collect()
    }

    /// Notes that a connection wants to hear of more.
    fn wonder(&mut self, interest: Interest<'_>, tell: mpsc::Sender<Advice>) {
        let room = MAX_LASTING.saturating_sub(self.lasting.len());
        self.lasting.extend(interest.lasting.into_iter().take(room));
        let known = self.curious.iter_mut().find(|one| one.session == interest.session);
        match known {
            Some(known) => known.topics.extend_from_slice(interest.topics),
            None => {
                let (session, topics) = (interest.session, interest.topics.to_vec());
                self.curious.push(Curious { session, topics, tell });
            }
        }
    }
}

/// The topic that tells of queues or topics.
const fn lasting_topic(one: &Destination) -> &'static str {
    if one.kind.is_queue() { QUEUE } else { TOPIC }
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
