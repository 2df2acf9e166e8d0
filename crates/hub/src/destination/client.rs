//! Clients' ids: one live connection of a credential has an id at a time.
//!
//! Claimed by faces when a client connects, given back when its connection ends. A connection that
//! is known to be dead loses its id to the first that asks for it (reference `activemq.md` f: the
//! reconnect that is refused after a network drop).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use outflow_model::CredentialId;
use parking_lot::Mutex;
use tokio::sync::Notify;

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

#[derive(Debug, Default)]
struct Holder {
    dead: AtomicBool,
    replaced: AtomicBool,
    wake: Notify,
}

/// An id in use; dropping it gives it back.
#[derive(Debug)]
pub struct ClientClaim {
    ids: Arc<ClientIds>,
    key: Key,
    holder: Arc<Holder>,
}

impl ClientIds {
    /// Takes an id, if no live connection of the credential has it.
    pub(crate) fn claim(
        self: &Arc<Self>,
        credential: &CredentialId,
        client: &str,
    ) -> Result<ClientClaim, ClientIdTaken> {
        let key = (credential.clone(), client.to_owned());
        let holder = Arc::new(Holder::default());
        let mut live = self.live.lock();
        if let Some(other) = live.get(&key) {
            if !other.dead.load(Ordering::Acquire) {
                return Err(ClientIdTaken);
            }
            other.replaced.store(true, Ordering::Release);
            other.wake.notify_one();
        }
        live.insert(key.clone(), holder.clone());
        drop(live);
        Ok(ClientClaim { ids: self.clone(), key, holder })
    }
}

impl ClientClaim {
    /// Says that the connection is dead, or has been silent for too long: whoever asks for the id
    /// gets it.
    pub fn dead(&self) {
        self.holder.dead.store(true, Ordering::Release);
    }

    /// Resolves when another connection has taken the id over: this one must end.
    pub async fn taken_over(&self) {
        while !self.holder.replaced.load(Ordering::Acquire) {
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
    }
}

impl Hub {
    /// Takes a client's id for a connection of this credential.
    ///
    /// # Errors
    /// [`ClientIdTaken`] while a live connection has it.
    pub fn claim_client(
        &self,
        credential: &CredentialId,
        client: &str,
    ) -> Result<ClientClaim, ClientIdTaken> {
        self.clients().claim(credential, client)
    }
}
