//! Clients' ids: one live connection of a credential has an id at a time.
//!
//! Claimed by faces when a client connects, given back when its connection ends.
//!
//! An id that a live connection has is refused to others, as ActiveMQ does (reference `activemq.md`
//! a5, `allowLinkStealing` off): two processes that were given the same id by mistake would else
//! throw each other out for ever, and neither would learn why. But a connection that only seems to
//! live must not lock its own client out (reference f: the reconnect that is refused after a network
//! drop). So who asks for a taken id waits, while its holder is made to write something: the network
//! of a client that is gone answers by a reset, or not at all, and either ends the holder's
//! connection, at the latest after the time that unacknowledged bytes may take. A client that says
//! anything lives, and the other is refused at once. Heart-beats are not needed for it, nor is
//! anything asked of the client.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use outflow_model::CredentialId;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::Hub;

/// The id is in use by a live connection of the same credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a connection with this client id is open")]
pub struct ClientIdTaken;

type Key = (CredentialId, String);

/// The ids in use.
#[derive(Debug, Default)]
pub(crate) struct ClientIds {
    live: Mutex<HashMap<Key, Arc<Holder>>>,
}

/// A connection that has an id, and those who wait for it.
#[derive(Debug, Default)]
struct Holder {
    /// It is known to be gone: whoever asks gets the id.
    dead: AtomicBool,
    replaced: AtomicBool,
    /// Somebody has asked whether it lives.
    asked: AtomicBool,
    /// How often it was seen to live after it was asked.
    answers: AtomicU32,
    /// Wakes the connection.
    wake: Notify,
    /// Wakes who waits for the id: the holder is gone, or has answered.
    news: Notify,
}

/// What a holder of an id is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimNews {
    /// Another connection asks for the id: write something, so that it shows whether the client is
    /// still there, and say [`ClientClaim::alive`] when something comes from it.
    Asked,
    /// Another connection has the id now: this one must end.
    TakenOver,
}

/// An id in use; dropping it gives it back.
#[derive(Debug)]
pub struct ClientClaim {
    ids: Arc<ClientIds>,
    key: Key,
    holder: Arc<Holder>,
}

impl ClientIds {
    /// Takes an id, unless a live connection of the credential has it: gives that.
    fn claim(self: &Arc<Self>, key: &Key) -> Result<ClientClaim, Arc<Holder>> {
        let holder = Arc::new(Holder::default());
        let mut live = self.live.lock();
        if let Some(other) = live.get(key) {
            if !other.dead.load(Ordering::Acquire) {
                return Err(Arc::clone(other));
            }
            other.replaced.store(true, Ordering::Release);
            other.wake.notify_one();
        }
        live.insert(key.clone(), Arc::clone(&holder));
        drop(live);
        Ok(ClientClaim { ids: Arc::clone(self), key: key.clone(), holder })
    }
}

impl ClientClaim {
    /// Says that the connection is dead: whoever asks for the id gets it.
    pub fn dead(&self) {
        self.holder.dead.store(true, Ordering::Release);
        self.holder.news.notify_waiters();
    }

    /// Says that the client has sent something since it was [asked](ClaimNews::Asked) for.
    pub fn alive(&self) {
        self.holder.answers.fetch_add(1, Ordering::AcqRel);
        self.holder.news.notify_waiters();
    }

    /// Waits until another connection asks for the id, or has taken it over. A call that is dropped
    /// loses nothing.
    pub async fn news(&self) -> ClaimNews {
        loop {
            if self.holder.replaced.load(Ordering::Acquire) {
                return ClaimNews::TakenOver;
            }
            if self.holder.asked.swap(false, Ordering::AcqRel) {
                return ClaimNews::Asked;
            }
            self.holder.wake.notified().await;
        }
    }
}

impl Drop for ClientClaim {
    fn drop(&mut self) {
        let mut live = self.ids.live.lock();
        if live.get(&self.key).is_some_and(|holder| Arc::ptr_eq(holder, &self.holder)) {
            live.remove(&self.key);
        }
        drop(live);
        self.holder.dead.store(true, Ordering::Release);
        self.holder.news.notify_waiters();
    }
}

impl Hub {
    /// Takes a client's id for a connection of this credential. When another connection has it,
    /// waits up to `patience` for that one to end, or to show that it lives.
    ///
    /// # Errors
    /// [`ClientIdTaken`] when it lives, or did not end in time.
    pub async fn claim_client(
        &self,
        credential: &CredentialId,
        client: &str,
        patience: Duration,
    ) -> Result<ClientClaim, ClientIdTaken> {
        let key = (credential.clone(), client.to_owned());
        let until = Instant::now() + patience;
        loop {
            let holder = match self.clients().claim(&key) {
                Ok(claim) => return Ok(claim),
                Err(holder) => holder,
            };
            let news = holder.news.notified();
            tokio::pin!(news);
            // From here on no news is missed.
            news.as_mut().enable();
            let answers = holder.answers.load(Ordering::Acquire);
            holder.asked.store(true, Ordering::Release);
            holder.wake.notify_one();
            if !holder.dead.load(Ordering::Acquire) && timeout_at(until, news).await.is_err() {
                tracing::info!(%credential, client, "refused a client id that another connection has");
                return Err(ClientIdTaken);
            }
            if holder.answers.load(Ordering::Acquire) != answers {
                tracing::info!(%credential, client, "refused a client id whose connection lives");
                return Err(ClientIdTaken);
            }
        }
    }
}
