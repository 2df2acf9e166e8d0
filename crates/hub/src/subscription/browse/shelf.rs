//! One stream of a look at a subscription's events, and what is looked for in it.
//!
//! Called by `browse`, in its place and aside. Does no I/O and never waits.
//!
//! Invariants: no more steps of selectors are taken at once than are given, but for one event's; no
//! event is asked about twice.

use std::cell::Cell;
use std::sync::Arc;

use outflow_model::{Offset, Timestamp};
use outflow_store::{Read, ReadError};

use crate::selector::Selector;
use crate::subscription::entry::Entry;
use crate::subscription::feed::{Feed, Loaded, Sieve};
use crate::subscription::properties::Candidate;
use crate::subscription::queue::Queue;
use crate::subscription::sight::Sight;
use crate::subscription::{EventView, SubscriptionSettings};

/// What is looked for.
pub(super) struct Asked {
    pub(super) settings: Arc<SubscriptionSettings>,
    pub(super) selector: Option<Selector>,
    pub(super) sight: Arc<Sight>,
    pub(super) now: Timestamp,
}

/// See the module.
pub(super) struct Shelf {
    pub(super) feed: Feed,
    /// Where the stream ended when the look began.
    end: Offset,
    /// What was read and not looked at to its end.
    read: Option<Read>,
    /// Its first event, which was found to be one that is looked for.
    found: Option<EventView>,
}

/// How a shelf stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Its first event is one that is looked for.
    Found,
    /// A read from here tells.
    Read(Offset),
    /// There is nothing more.
    End,
    /// All steps are taken.
    Spent,
}

impl Asked {
    /// The event of an entry, if it is looked for. Takes the steps that it costs to find out.
    fn find(&self, entry: &Entry, feed: &Feed, steps: &Cell<usize>) -> Option<EventView> {
        let event = entry.view()?;
        let stream = &feed.stream.name;
        let candidate = Candidate { event: &event, stream, deliveries: entry.deliveries };
        if let Some(selector) = &self.selector {
            let (suits, cost) = candidate.weigh(selector);
            steps.set(steps.get().saturating_sub(cost));
            if !suits {
                return None;
            }
        }
        (self.sight.sees(&event, self.now) && entry.expires > self.now).then_some(event)
    }
}

impl Shelf {
    pub(super) const fn new(feed: Feed, end: Offset) -> Self {
        Self { feed, end, read: None, found: None }
    }

    pub(super) const fn end(&self) -> Offset {
        self.end
    }

    /// The event that it found.
    pub(super) fn first(&self) -> Option<&Entry> {
        self.found.as_ref().and_then(|_| self.feed.ready.front())
    }

    /// Takes that event.
    pub(super) fn take(&mut self) -> Option<(Entry, EventView)> {
        let event = self.found.take()?;
        Some((self.feed.ready.pop_front()?, event))
    }

    /// Looks on, until there is one that is looked for.
    pub(super) fn go_on(&mut self, asked: &Asked, steps: &Cell<usize>) -> Next {
        loop {
            if self.found.is_some() {
                return Next::Found;
            }
            if self.feed.ready.is_empty() && self.read.is_none() {
                let is_over = self.feed.at_end || self.feed.loaded >= self.end;
                return if is_over { Next::End } else { Next::Read(self.feed.loaded) };
            }
            if steps.get() == 0 {
                return Next::Spent;
            }
            if let Some(entry) = self.feed.ready.front() {
                self.found = asked.find(entry, &self.feed, steps);
                if self.found.is_none() {
                    self.feed.ready.pop_front();
                }
            } else if let Some(read) = self.read.take() {
                self.accept(read, asked, steps);
            }
        }
    }

    /// Takes what was read where it said.
    pub(super) fn fill(&mut self, read: Result<Read, ReadError>) {
        match read {
            Ok(read) => self.read = Some(read),
            Err(ReadError::Trimmed { start: resume } | ReadError::Damaged { resume, .. }) => {
                self.pass_to(self.feed.loaded, resume);
            }
            Err(ReadError::UnknownStream(_) | ReadError::Io(_)) => {
                self.pass_to(self.feed.loaded, self.end);
            }
        }
    }

    /// Looks at what was read, as far as the steps go.
    fn accept(&mut self, mut read: Read, asked: &Asked, steps: &Cell<usize>) {
        let from = self.feed.loaded;
        read.blocks.retain(|block| block.last >= from);
        // Scheduled events are not looked at: none is remembered.
        let sieve = Queue::sieve(&asked.settings, 0, asked.now);
        let sieve = Sieve { steps: Some(steps), ..sieve };
        let mut loaded = Loaded::default();
        match self.feed.accept(from, &read, sieve, &mut loaded) {
            Err((_, resume)) => self.pass_to(from, resume),
            Ok(()) if loaded.is_cut => self.read = Some(read),
            Ok(()) => self.pass_to(from, self.feed.loaded),
        }
        // What came after the look began is not part of it.
        let within = self.feed.ready.partition_point(|entry| entry.offset < self.end);
        if within < self.feed.ready.len() {
            self.feed.ready.truncate(within);
            (self.feed.at_end, self.read) = (true, None);
        }
    }

    /// Goes on at `resume`. A read at `from` that leads nowhere is the last.
    fn pass_to(&mut self, from: Offset, resume: Offset) {
        self.feed.skip_to(resume);
        self.feed.at_end |= self.feed.loaded <= from;
    }
}
