//! What one owner's connections are told, and which of them want to hear it.
//!
//! Called by `live`, which locks it; waits for nobody.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use outflow_hub::destination::Destination;
use outflow_model::destination::covers;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::super::presence::{Presence, Word};
use super::{Advice, Interest, MAX_LASTING, QUEUE, TOPIC};

/// The way to a connection that is told.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    tell: mpsc::Sender<Advice>,
    /// Whether it was not told of something because too much waits for it.
    has_missed: Arc<AtomicBool>,
}

/// A connection that wants to hear of more than temporary destinations.
#[derive(Debug)]
struct Curious {
    topics: Vec<String>,
    listener: Listener,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// Whether it was given up, and another is to be asked for.
    pub(super) is_over: bool,
    temporary: BTreeMap<Destination, Arc<str>>,
    presence: Presence,
    /// The queues and topics that were told of.
    lasting: HashSet<Destination>,
    /// Those who want to hear of temporary destinations, by session: every Java client.
    listeners: HashMap<u64, Listener>,
    /// Those of them who want to hear of more.
    curious: HashMap<u64, Curious>,
}

impl Listener {
    pub(super) const fn new(tell: mpsc::Sender<Advice>, has_missed: Arc<AtomicBool>) -> Self {
        Self { tell, has_missed }
    }

    fn tell(&self, advice: Advice) {
        if let Err(TrySendError::Full(advice)) = self.tell.try_send(advice) {
            self.has_missed.store(true, Ordering::Relaxed);
            // Whoever has taken all meanwhile has to wake up once more to see that.
            let _ = self.tell.try_send(advice);
        }
    }
}

impl Board {
    pub(super) fn join(&mut self, session: u64, listener: Listener) {
        self.listeners.insert(session, listener);
    }

    pub(super) fn leave(&mut self, session: u64) {
        self.listeners.remove(&session);
        self.curious.remove(&session);
    }

    /// Sets what a connection wants to hear of besides temporary destinations.
    pub(super) fn wonder(&mut self, session: u64, topics: Vec<String>) {
        self.curious.remove(&session);
        if let Some(listener) = self.listeners.get(&session).filter(|_| !topics.is_empty()) {
            self.curious.insert(session, Curious { topics, listener: listener.clone() });
        }
    }

    /// Whether there is nothing to keep it for.
    pub(super) fn is_idle(&self) -> bool {
        self.temporary.is_empty() && self.presence.is_empty() && self.listeners.is_empty()
    }

    /// Changes who is there, and tells of it.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Presence) -> Vec<Word>) {
        let words = change(&mut self.presence);
        if self.curious.is_empty() {
            return;
        }
        for word in words {
            let word = Arc::new(word);
            self.tell_curious(&word.topic, &Advice::Word(Arc::clone(&word)));
        }
    }

    pub(super) fn used(&mut self, connection: &Arc<str>, all: &[Destination]) {
        if self.curious.is_empty() {
            return;
        }
        for one in all.iter().filter(|one| !one.kind.is_temporary() && !one.has_wildcards()) {
            if self.lasting.len() < MAX_LASTING && self.lasting.insert(one.clone()) {
                self.tell_curious(lasting_topic(one), &Advice::made(one, connection, true));
            }
        }
    }

    /// Queues and topics that somebody was told of.
    pub(super) fn note(&mut self, lasting: Vec<Destination>) {
        let room = MAX_LASTING.saturating_sub(self.lasting.len());
        self.lasting.extend(lasting.into_iter().take(room));
    }

    pub(super) fn add(&mut self, connection: &Arc<str>, destination: &Destination) {
        self.temporary.insert(destination.clone(), Arc::clone(connection));
        self.tell(&Advice::made(destination, connection, true));
    }

    pub(super) fn remove(&mut self, connection: &Arc<str>, destination: &Destination) {
        if self.temporary.remove(destination).is_some() {
            self.tell(&Advice::made(destination, connection, false));
        }
    }

    fn tell(&self, advice: &Advice) {
        self.listeners.values().for_each(|listener| listener.tell(advice.clone()));
    }

    fn tell_curious(&self, topic: &str, advice: &Advice) {
        for one in self.curious.values() {
            if one.topics.iter().any(|wanted| covers(wanted, topic)) {
                one.listener.tell(advice.clone());
            }
        }
    }

    /// The temporary destinations there are.
    pub(super) fn temporary(&self) -> Vec<Advice> {
        let made = |(destination, connection)| Advice::made(destination, connection, true);
        self.temporary.iter().map(made).collect()
    }

    /// What there is besides temporary destinations, of what is wanted.
    pub(super) fn all(&self, interest: &Interest<'_>) -> Vec<Advice> {
        let is_wanted = |topic: &str| interest.topics.iter().any(|wanted| covers(wanted, topic));
        let nobody: Arc<str> = "".into();
        let lasting = interest.lasting.iter().filter(|one| is_wanted(lasting_topic(one)));
        let lasting = lasting.map(|one| Advice::made(one, &nobody, true));
        // No more are looked at than may be told: whoever asks for what nobody is called would have
        // all looked at, each time.
        let words = self.presence.all().take(MAX_LASTING).filter(|word| is_wanted(&word.topic));
        lasting.chain(words.map(|word| Advice::Word(Arc::new(word)))).collect()
    }
}

/// The topic that tells of queues or topics.
const fn lasting_topic(one: &Destination) -> &'static str {
    if one.kind.is_queue() { QUEUE } else { TOPIC }
}
