//! Events that are out of a feed's queue though no consumer has them.
//!
//! Called by `feed` and by all who take events out and put them back, under the queue's lock.
//!
//! Invariant: how many there are that are not scheduled is known without a look at them.

use std::collections::btree_map::Range;
use std::collections::{BTreeMap, BTreeSet};

use outflow_model::clock::Moment;
use outflow_model::{Offset, Timestamp};

use super::entry::Entry;

/// Why an event is out of the queue though no consumer has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Apart {
    /// It is not to be seen before this time of day.
    Scheduled(Timestamp),
    /// It was given back, to be handed out again at this moment.
    Delayed(Moment),
    /// It was taken by name.
    Leased {
        /// By which lease.
        lease: u64,
        /// Until when.
        until: Moment,
    },
    /// It is on its way to the dead letters, or settled by a transaction not yet ended.
    Settling,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Aparts {
    events: BTreeMap<Offset, (Entry, Apart)>,
    /// The scheduled ones, by when they are due.
    scheduled: BTreeSet<(Timestamp, Offset)>,
}

impl Aparts {
    pub(crate) fn insert(&mut self, offset: Offset, (entry, apart): (Entry, Apart)) {
        self.remove(&offset);
        if let Apart::Scheduled(at) = apart {
            self.scheduled.insert((at, offset));
        }
        self.events.insert(offset, (entry, apart));
    }

    pub(crate) fn remove(&mut self, offset: &Offset) -> Option<(Entry, Apart)> {
        let (entry, apart) = self.events.remove(offset)?;
        if let Apart::Scheduled(at) = apart {
            self.scheduled.remove(&(at, *offset));
        }
        Some((entry, apart))
    }

    /// Removes the event that is due last of the scheduled ones.
    pub(crate) fn remove_latest(&mut self) -> Option<(Timestamp, Offset)> {
        let last = self.scheduled.pop_last()?;
        self.events.remove(&last.1);
        Some(last)
    }

    /// When the last of the scheduled events is due.
    pub(crate) fn latest(&self) -> Option<Timestamp> {
        self.scheduled.last().map(|(at, _)| *at)
    }

    /// Removes the scheduled events.
    pub(crate) fn remove_scheduled(&mut self) {
        for (_, offset) in std::mem::take(&mut self.scheduled) {
            self.events.remove(&offset);
        }
    }

    pub(crate) fn get(&self, offset: &Offset) -> Option<&(Entry, Apart)> {
        self.events.get(offset)
    }

    /// Lets a lease last until another time; gives the old one.
    pub(crate) fn extend(&mut self, offset: &Offset, to: Moment) -> Option<Moment> {
        let (_, apart) = self.events.get_mut(offset)?;
        let Apart::Leased { until, .. } = apart else { return None };
        Some(std::mem::replace(until, to))
    }

    pub(crate) fn contains(&self, offset: &Offset) -> bool {
        !self.events.is_empty() && self.events.contains_key(offset)
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn scheduled(&self) -> usize {
        self.scheduled.len()
    }

    /// How many are not scheduled: they were in the queue, and others wait behind them.
    pub(crate) fn waiting(&self) -> usize {
        self.events.len() - self.scheduled.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Offset, &(Entry, Apart))> {
        self.events.iter()
    }

    pub(crate) fn range(
        &self,
        range: std::ops::Range<Offset>,
    ) -> Range<'_, Offset, (Entry, Apart)> {
        self.events.range(range)
    }
}
