//! How the engine is: poisoned or not, full or not, and the damage it found.
//!
//! Written by every part of the engine, read by `health()`.
//!
//! Invariant: once stopped, for ever stopped; the first reason stays.

use std::sync::atomic::{AtomicBool, Ordering};

use outflow_store::Health;
use parking_lot::Mutex;

/// How many pieces of damage are told apart; more are counted only by the last line.
const MAX_DAMAGE: usize = 100;

/// The engine's health.
#[derive(Debug, Default)]
pub(crate) struct Board {
    stopped: Mutex<Option<String>>,
    is_stopped: AtomicBool,
    full: AtomicBool,
    damage: Mutex<Vec<String>>,
}

impl Board {
    /// Stops the engine for good. Returns the reason that holds: the first one given.
    pub(crate) fn stop(&self, reason: &str) -> String {
        let mut stopped = self.stopped.lock();
        let first = stopped.get_or_insert_with(|| {
            tracing::error!(reason, "the engine stops writing");
            reason.into()
        });
        self.is_stopped.store(true, Ordering::Release);
        first.clone()
    }

    /// Refuses further batches because the engine was closed. Not a failure, so not logged.
    pub(crate) fn close(&self) {
        self.stopped.lock().get_or_insert_with(|| "it was closed".into());
        self.is_stopped.store(true, Ordering::Release);
    }

    /// Why it stopped, if it did.
    pub(crate) fn stopped(&self) -> Option<String> {
        if self.is_stopped.load(Ordering::Acquire) { self.stopped.lock().clone() } else { None }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Notes whether appends are refused until `needed` bytes of the disk are free.
    pub(crate) fn set_full(&self, full: bool, needed: u64) {
        if self.full.swap(full, Ordering::Relaxed) != full {
            if full {
                tracing::warn!(
                    needed_bytes = needed,
                    "the disk is full but for the reserve: appends are refused until so much is free"
                );
            } else {
                tracing::info!("the disk has room again: appends are taken");
            }
        }
    }

    /// Notes damage once.
    pub(crate) fn damage(&self, what: String) {
        let mut damage = self.damage.lock();
        if damage.contains(&what) || damage.len() > MAX_DAMAGE {
            return;
        }
        tracing::error!(what, "damage found");
        let is_last = damage.len() == MAX_DAMAGE;
        damage.push(if is_last { "more damage than is listed".into() } else { what });
    }

    pub(crate) fn report(&self, needed: u64) -> Health {
        let (stopped, full) = (self.stopped(), self.is_full());
        Health { stopped, full, needed, damage: self.damage.lock().clone() }
    }
}
