//! A batch of one endpoint: which events it has, and where it is.
//!
//! Made and held by [`Lanes`](super::lane::Lanes).
//!
//! Invariant: it keeps its offsets and its size until it is settled, whatever becomes of its events in
//! memory and of the endpoint's settings: what it is made of is what it was made of.

use outflow_model::{Offset, Timestamp};

use super::{Held, offsets};
use crate::wire::BatchSize;

/// A batch of one endpoint. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

/// A batch as it is sent.
#[derive(Debug)]
pub struct Sending<'a, E> {
    /// Its events, all of them.
    pub events: &'a [E],
    /// How often it has failed.
    pub failures: u32,
    /// How many events batches had at most when it was made: the form of its document.
    pub size: BatchSize,
}

/// What a request has that is under way, whatever has become of its batch meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct UnderWay<'a> {
    /// Which events.
    pub offsets: &'a [Offset],
    /// How often it has failed before.
    pub failures: u32,
    /// How many events batches had at most when it was made.
    pub size: BatchSize,
}

/// Where a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Flying,
    /// It is sent again then.
    Waits(Timestamp),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Batch<E> {
    /// What its document is made for.
    pub(super) size: BatchSize,
    /// Its lanes, each once.
    pub(super) lanes: Vec<u64>,
    pub(super) offsets: Vec<Offset>,
    /// Those of its events that are in memory.
    pub(super) events: Vec<E>,
    pub(super) failures: u32,
    /// Since when it fails, until operators have heard of it.
    pub(super) since: Option<Timestamp>,
    pub(super) state: State,
    /// Whether it is another than was noted, if it was.
    pub(super) is_changed: bool,
    /// While it is under way: what stands from there on comes again, also if it is taken.
    pub(super) again: Offset,
    /// While it is under way: what may be sent is other than it was when it went.
    pub(super) is_outdated: bool,
}

impl<E> Batch<E> {
    /// One whose events are not in memory.
    pub(super) const fn new(
        size: BatchSize,
        lanes: Vec<u64>,
        offsets: Vec<Offset>,
        state: State,
    ) -> Self {
        Self {
            size,
            lanes,
            offsets,
            events: Vec::new(),
            failures: 0,
            since: None,
            state,
            is_changed: false,
            again: Offset::LAST,
            is_outdated: false,
        }
    }
}

impl<E: Held> Batch<E> {
    pub(super) const fn is_whole(&self) -> bool {
        self.events.len() == self.offsets.len()
    }

    pub(super) fn is_flying(&self) -> bool {
        self.state == State::Flying
    }

    /// Whether events of it are still to come.
    pub(super) fn is_awaited(&self) -> bool {
        !self.is_whole() && !self.is_flying()
    }

    /// Whether it has come in part.
    pub(super) fn is_partial(&self) -> bool {
        self.is_awaited() && !self.events.is_empty()
    }

    /// The rest of it is no more: what has come is the batch.
    pub(super) fn settle_for_less(&mut self) {
        self.offsets = offsets(&self.events);
        self.is_changed = true;
    }
}
