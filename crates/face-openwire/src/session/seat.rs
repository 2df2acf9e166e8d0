//! Who has which connection id.
//!
//! A client that reconnects has the same connection id and takes it over at once; the connection
//! that had it ends first, so that its messages go back before they are handed out again (reference
//! `activemq.md` c4 Failover).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use outflow_model::CredentialId;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// How long a connection whose id is taken over may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// The connection ids in use. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<Key, Arc<Holder>>>>);

type Key = (CredentialId, String);

/// A connection that has an id.
#[derive(Debug)]
struct Holder {
    taken_over: Notify,
    gone: watch::Sender<bool>,
}

/// A connection id in use; dropping it gives it back.
#[derive(Debug)]
pub struct Seat {
    seats: Seats,
    key: Key,
    holder: Arc<Holder>,
    before: Option<Arc<Holder>>,
}

impl Seats {
    /// Takes a connection id, from whoever has it.
    pub(super) fn sit(&self, credential: &CredentialId, connection: &str) -> Seat {
        let key = (credential.clone(), connection.to_owned());
        let holder =
            Arc::new(Holder { taken_over: Notify::new(), gone: watch::Sender::new(false) });
        let before = self.0.lock().insert(key.clone(), Arc::clone(&holder));
        if let Some(before) = &before {
            before.taken_over.notify_one();
        }
        Seat { seats: self.clone(), key, holder, before }
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
        let mut seats = self.seats.0.lock();
        if seats.get(&self.key).is_some_and(|holder| Arc::ptr_eq(holder, &self.holder)) {
            seats.remove(&self.key);
        }
        drop(seats);
        self.holder.gone.send_replace(true);
    }
}
