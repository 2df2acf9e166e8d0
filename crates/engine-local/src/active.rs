//! Journal generations on their way from the committer to the sealer.
//!
//! A generation is the content of one journal file. The committer fills one; when it is full it
//! waits here until the sealer has rewritten it; then its file is free again.
//!
//! One whole file is kept as a spare, for when the disk has no room for another: then acks,
//! deletes and trims go on in it, which is how a disk gets room again.
//!
//! Invariant: generations are sealed in order, and a file is free only when everything in it is
//! durable elsewhere.

use std::collections::VecDeque;

use outflow_model::StreamId;
use parking_lot::{Condvar, Mutex};

/// A full generation, or one found at recovery.
#[derive(Debug, Clone)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    /// The journal file it is in.
    pub(crate) slot: u32,
    /// The sequence of its last commit.
    pub(crate) last_sequence: u64,
    /// The streams that have chunks of it; some may be named twice.
    pub(crate) streams: Vec<StreamId>,
    /// Whether its file is damaged, and so set aside instead of used again.
    pub(crate) is_damaged: bool,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Generation>,
    /// The one that has been free for longest is used first: so old bytes are soon overwritten.
    free: VecDeque<u32>,
    next_slot: u32,
    /// The file that is kept for when the disk is full.
    spare: Option<u32>,
    /// Whether it was taken into use and there is no other yet.
    is_spare_spent: bool,
    /// Whether the sealer is to look around or end.
    woken: bool,
}

/// The generations that wait, and the journal files that are free.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Pending {
    /// With what recovery found.
    pub(crate) fn new(waiting: VecDeque<Generation>, free: Vec<u32>, next_slot: u32) -> Self {
        let free = free.into();
        let inner = Inner { waiting, free, next_slot, ..Inner::default() };
        Self { inner: Mutex::new(inner), changed: Condvar::new() }
    }

    /// How many generations wait.
    pub(crate) fn len(&self) -> usize {
        self.inner.lock().waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn push(&self, generation: Generation) {
        self.inner.lock().waiting.push_back(generation);
        self.changed.notify_all();
    }

    /// The oldest that waits; it stays until [`Self::sealed`].
    pub(crate) fn oldest(&self) -> Option<Generation> {
        self.inner.lock().waiting.front().cloned()
    }

    /// The oldest is sealed: it waits no more, and its file is free if it is undamaged.
    pub(crate) fn sealed(&self) {
        let mut inner = self.inner.lock();
        if let Some(generation) = inner.waiting.pop_front()
            && !generation.is_damaged
        {
            inner.free.push_back(generation.slot);
        }
        drop(inner);
        self.changed.notify_all();
    }

    /// A free file, or the number of a new one.
    pub(crate) fn take_slot(&self) -> u32 {
        let mut inner = self.inner.lock();
        inner.free.pop_front().unwrap_or_else(|| {
            inner.next_slot += 1;
            inner.next_slot - 1
        })
    }

    /// Gives a file back that was not used.
    pub(crate) fn give_back(&self, slot: u32) {
        self.inner.lock().free.push_back(slot);
    }

    /// A file that was used and is free, and so needs no more room on the disk.
    pub(crate) fn take_free(&self) -> Option<u32> {
        self.inner.lock().free.pop_front()
    }

    pub(crate) fn has_spare(&self) -> bool {
        self.inner.lock().spare.is_some()
    }

    /// Whether the spare is in use: until there is another, nothing else may be taken.
    pub(crate) fn is_spare_spent(&self) -> bool {
        self.inner.lock().is_spare_spent
    }

    /// The spare, to be taken into use.
    pub(crate) fn take_spare(&self) -> Option<u32> {
        let mut inner = self.inner.lock();
        let spare = inner.spare.take();
        inner.is_spare_spent |= spare.is_some();
        spare
    }

    /// Keeps a whole file as the spare.
    pub(crate) fn set_spare(&self, slot: u32) {
        let mut inner = self.inner.lock();
        inner.is_spare_spent = false;
        if let Some(other) = inner.spare.replace(slot) {
            inner.free.push_back(other);
        }
    }

    /// The number of a new file, if no file is free or will soon be.
    pub(crate) fn take_new_slot(&self) -> Option<u32> {
        let mut inner = self.inner.lock();
        if !inner.free.is_empty() || !inner.waiting.is_empty() {
            return None;
        }
        inner.next_slot += 1;
        Some(inner.next_slot - 1)
    }

    /// Ends the wait of whoever waits.
    pub(crate) fn wake(&self) {
        self.inner.lock().woken = true;
        self.changed.notify_all();
    }

    /// Waits until something changed, at most `millis`.
    pub(crate) fn wait(&self, millis: u64, until: impl Fn(usize) -> bool) {
        let mut inner = self.inner.lock();
        if !until(inner.waiting.len()) && !std::mem::take(&mut inner.woken) {
            self.changed.wait_for(&mut inner, std::time::Duration::from_millis(millis));
            inner.woken = false;
        }
    }
}
