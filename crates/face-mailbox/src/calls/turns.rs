//! Turns: the calls that change one subscriber's mailbox go one after the other.

use tokio::sync::{Mutex, MutexGuard};

use crate::wire::Guid;

/// How many turns there are. Subscribers that share one wait for each other now and then.
const TURNS: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Turns(Box<[Mutex<()>]>);

impl Default for Turns {
    fn default() -> Self {
        Self((0..TURNS).map(|_| Mutex::default()).collect())
    }
}

impl Turns {
    /// Waits for the turn of a subscriber; it lasts until what is given is dropped.
    pub(super) async fn of(&self, subscriber: Guid) -> Option<MutexGuard<'_, ()>> {
        // The middle bits of an id are those of a hash.
        let at = (subscriber.bits() >> 32) as usize % TURNS;
        match self.0.get(at) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        }
    }
}
