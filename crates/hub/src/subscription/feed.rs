//! One stream of a subscription: the place in it, and the window of events loaded from there.
//!
//! Called by `queue`, under its lock. An event at or above the floor and below `loaded` is in
//! exactly one state: done, ready, apart (scheduled, leased by name, being buried or part of a
//! transaction), or in a consumer's hands.
//!
//! Invariant: `ready` is in order of offset and below `loaded`; it may be emptied at any time by moving `loaded` back,
//! as all that is not done is found again.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use outflow_model::{Meta, Offset, Timestamp};
use outflow_store::{Block, BlockError, Read};

use super::apart::{Apart, Aparts};
use super::entry::{Body, Entry, NEVER};
use super::forgotten::Forgotten;
use super::place::Place;
use super::properties::Candidate;
use super::{EventView, headers};
use crate::Stream;
use crate::aside::Shown;
use crate::selector::Selector;
use crate::view::View;

/// Keys fall into so many groups; two keys of one group go to the same consumer.
const MAX_GROUPS: u64 = 65_536;
/// Blocks of more bytes than this are not kept in memory for a few events of them.
const WORTH_COPYING: usize = 16 << 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct Feed {
    /// Unique in its subscription.
    pub(crate) key: u32,
    pub(crate) stream: Arc<Stream>,
    pub(crate) filter: Option<Selector>,
    pub(crate) place: Place,
    /// All below was looked at.
    pub(crate) loaded: Offset,
    /// Whether there was nothing more when it was last looked at, and where its end was.
    pub(crate) at_end: bool,
    pub(crate) end: Offset,
    pub(crate) ready: VecDeque<Entry>,
    pub(crate) apart: Aparts,
    /// What there was no room to remember, and where the second pass is that looks for it.
    pub(crate) forgotten: Option<Forgotten>,
    pub(crate) again: Option<Offset>,
    /// Whether it looks for events that come before those that are ready.
    pub(crate) waits_for_again: bool,
    /// Events that were handed out before and are not in memory: how often.
    pub(crate) counts: BTreeMap<Offset, u32>,
}

/// What a subscription holds events to as it loads them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sieve<'a> {
    pub(crate) selector: Option<&'a Selector>,
    /// What its integration may see; `None`: everything.
    pub(crate) view: Option<&'a View>,
    /// What of this was found out before, where that costs much.
    pub(crate) shown: Option<&'a Shown>,
    /// Whether what comes back was looked at with an older one.
    pub(crate) is_outdated: bool,
    /// The steps that selectors may still take; `None`: as many as they need.
    pub(crate) steps: Option<&'a Cell<usize>>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) by_key: bool,
    /// How many scheduled events are remembered.
    pub(crate) max_scheduled: usize,
    /// The hash of the type that not everybody may see.
    pub(crate) compliance: u32,
    pub(crate) now: Timestamp,
}

/// What loading found.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// How many events are ready now.
    pub(crate) count: usize,
    /// The bytes of their lines.
    pub(crate) bytes: usize,
    /// Events that are not to be seen yet, and those that were given up for them.
    pub(crate) scheduled: Vec<(Offset, Timestamp)>,
    pub(crate) forgotten: Vec<(Offset, Timestamp)>,
    /// Events that were ready, and may not be seen any more.
    pub(crate) hidden: Vec<Offset>,
    /// Whether what follows was not looked at, for want of steps.
    pub(crate) is_cut: bool,
}

impl Feed {
    pub(crate) fn new(
        key: u32,
        stream: Arc<Stream>,
        filter: Option<Selector>,
        place: Place,
    ) -> Self {
        Self {
            key,
            stream,
            filter,
            loaded: place.floor(),
            place,
            at_end: false,
            end: Offset::ZERO,
            ready: VecDeque::new(),
            apart: Aparts::default(),
            forgotten: None,
            again: None,
            waits_for_again: false,
            counts: BTreeMap::new(),
        }
    }

    /// Takes in what was read at `from`.
    ///
    /// # Errors
    /// [`BlockError`] with the offset past the damaged block; what came before it is taken in.
    pub(crate) fn accept(
        &mut self,
        from: Offset,
        read: &Read,
        sieve: Sieve<'_>,
        found: &mut Loaded,
    ) -> Result<(), (BlockError, Offset)> {
        // What lies between must be looked at first, or it would be passed over.
        debug_assert!(from <= self.loaded, "read beyond what was looked at");
        if from > self.loaded {
            return Ok(());
        }
        for block in &read.blocks {
            self.take_block(block, from, sieve, found)
                .map_err(|error| (error, block.last.next()))?;
            if found.is_cut {
                return Ok(());
            }
        }
        if read.next > self.loaded {
            self.skip_to(read.next);
        }
        Ok(())
    }

    /// Passes over offsets that hold no event for this subscription.
    pub(crate) fn skip_to(&mut self, offset: Offset) {
        self.place.pass(self.loaded, offset);
        self.loaded = self.loaded.max(offset);
    }

    /// What is done already need not be read: goes on at the first event that may be open.
    pub(crate) fn skip_done(&mut self) {
        self.loaded = self.place.first_open(self.loaded);
    }

    fn take_block(
        &mut self,
        block: &Arc<Block>,
        from: Offset,
        sieve: Sieve<'_>,
        found: &mut Loaded,
    ) -> Result<(), BlockError> {
        let lines = block.lines()?;
        let metas = block.metas()?;
        let (mut kept_bytes, mut start) = (0, 0);
        // Ready events whose content was let go of are found again in passing.
        let mut cold = self.ready.partition_point(|entry| entry.offset < block.first.max(from));
        for (index, meta) in metas.iter().enumerate() {
            let end = start + meta.line_len as usize;
            let line = lines.get(start..end).ok_or(BlockError::Corrupt)?;
            let body = || Body { block: block.clone(), start: start as u32, index: index as u32 };
            if meta.offset < self.loaded {
                while self.ready.get(cold).is_some_and(|entry| entry.offset < meta.offset) {
                    cold += 1;
                }
                if let Some(entry) = self.ready.get_mut(cold)
                    && entry.offset == meta.offset
                    && entry.body.is_none()
                {
                    if sieve.is_outdated && !sieve.shows(&meta, line) {
                        found.hidden.push(meta.offset);
                    } else {
                        entry.body = Some(body());
                        // What a prepared transaction answered before a restart does not know it any more.
                        entry.ends_group = entry.group != 0 && headers::ends_group(&meta, line);
                        found.bytes += entry.size as usize;
                        kept_bytes += line.len();
                    }
                }
            } else {
                if sieve.is_spent() {
                    found.is_cut = true;
                    break;
                }
                if meta.offset > self.loaded {
                    self.place.pass(self.loaded, meta.offset);
                }
                self.loaded = meta.offset.next();
                if !self.place.is_done(meta.offset) && !self.apart.contains(&meta.offset) {
                    let deliveries = if self.counts.is_empty() {
                        0
                    } else {
                        self.counts.remove(&meta.offset).unwrap_or(0)
                    };
                    let wanted = [self.filter.as_ref(), sieve.selector];
                    // They say what belongs to the subscription: that does not change by deliveries.
                    let suits = |selector: &Selector| {
                        let event = &EventView::new(block.clone(), start, meta);
                        let stream = &self.stream.name;
                        sieve.suits(Candidate { event, stream, deliveries: 0 }, selector)
                    };
                    if sieve.shows(&meta, line) && wanted.into_iter().flatten().all(suits) {
                        let times = headers::times(&meta, line);
                        let mut entry = sieve.entry(&meta, line, times.until);
                        entry.deliveries = deliveries;
                        entry.body = Some(body());
                        kept_bytes += line.len();
                        self.enter(entry, times.from, sieve, found);
                    } else {
                        self.place.pass(meta.offset, meta.offset.next());
                    }
                }
            }
            start = end;
        }
        if block.plain_len() > WORTH_COPYING && kept_bytes < block.plain_len() / 4 {
            self.copy_out(block)?;
        }
        Ok(())
    }

    /// Keeps copies of the few ready events of a block, which would all stay in memory for them.
    fn copy_out(&mut self, block: &Arc<Block>) -> Result<(), BlockError> {
        let from = self.ready.partition_point(|entry| entry.offset < block.first);
        let of_block = self.ready.range(from..).take_while(|entry| entry.offset <= block.last);
        let holds = |entry: &&Entry| {
            entry.body.as_ref().is_some_and(|body| Arc::ptr_eq(&body.block, block))
        };
        let kept: Vec<Offset> = of_block.filter(holds).map(|entry| entry.offset).collect();
        let is_kept = |meta: &Meta, _: &[u8]| kept.binary_search(&meta.offset).is_ok();
        let Some(small) = block.select(is_kept)?.map(Arc::new) else { return Ok(()) };
        let mut start = 0;
        for (index, meta) in small.metas()?.iter().enumerate() {
            let at = self.ready.binary_search_by_key(&meta.offset, |entry| entry.offset);
            if let Some(entry) = at.ok().and_then(|at| self.ready.get_mut(at)) {
                let (block, index) = (small.clone(), index as u32);
                entry.body = Some(Body { block, start, index });
            }
            start += meta.line_len;
        }
        Ok(())
    }

    /// Makes an event ready, or sets it apart until its time.
    pub(crate) fn enter(
        &mut self,
        entry: Entry,
        from: Timestamp,
        sieve: Sieve<'_>,
        found: &mut Loaded,
    ) {
        if from > sieve.now {
            self.schedule(entry, from, sieve.max_scheduled, found);
            return;
        }
        found.count += 1;
        found.bytes += entry.size as usize;
        self.put_back(entry);
    }

    /// Remembers an event until its time, as long as it is among the next `max`.
    fn schedule(&mut self, mut entry: Entry, from: Timestamp, max: usize, found: &mut Loaded) {
        let offset = entry.offset;
        if self.apart.scheduled() >= max {
            if self.apart.latest().is_none_or(|latest| latest <= from) {
                self.forget(offset, from);
                found.forgotten.push((offset, from));
                return;
            }
            if let Some((at, offset)) = self.apart.remove_latest() {
                self.forget(offset, at);
                found.forgotten.push((offset, at));
            }
        }
        entry.body = None;
        found.scheduled.push((offset, from));
        self.apart.insert(offset, (entry, Apart::Scheduled(from)));
    }

    /// Puts an event to its place.
    pub(crate) fn put_back(&mut self, entry: Entry) {
        if self.ready.back().is_none_or(|last| last.offset < entry.offset) {
            self.ready.push_back(entry);
            return;
        }
        if self.ready.front().is_none_or(|first| entry.offset < first.offset) {
            self.ready.push_front(entry);
            return;
        }
        let at = self.ready.partition_point(|other| other.offset < entry.offset);
        self.ready.insert(at, entry);
    }

    /// Empties the window: what is not done is loaded again when it is wanted.
    pub(crate) fn unload(&mut self) {
        let Some(first) = self.empty() else { return };
        self.loaded = self.loaded.min(first);
        self.at_end = false;
    }

    /// Lets go of all that is ready, which was looked at already; gives where the first of it was.
    pub(crate) fn empty(&mut self) -> Option<Offset> {
        let first = self.ready.front().map(|first| first.offset);
        for entry in std::mem::take(&mut self.ready) {
            if entry.deliveries > 0 {
                self.counts.insert(entry.offset, entry.deliveries);
            }
        }
        first
    }
}

impl Sieve<'_> {
    /// Whether its integration may see the event.
    pub(crate) fn shows(&self, meta: &Meta, line: &[u8]) -> bool {
        match (self.view, self.shown) {
            (None, _) => true,
            (Some(_), Some(shown)) => shown.has(meta.offset),
            (Some(view), None) => view.passes(meta, line, self.now),
        }
    }

    /// Whether no steps are left.
    pub(crate) fn is_spent(&self) -> bool {
        self.steps.is_some_and(|steps| steps.get() == 0)
    }

    /// Whether a selector accepts the event, whose steps are taken.
    pub(crate) fn suits(&self, candidate: Candidate<'_>, selector: &Selector) -> bool {
        let (suits, cost) = candidate.weigh(selector);
        self.steps.into_iter().for_each(|steps| steps.set(steps.get().saturating_sub(cost)));
        suits
    }

    /// An event nobody has had yet, without its content.
    pub(crate) fn entry(&self, meta: &Meta, line: &[u8], expires: Timestamp) -> Entry {
        let group = self.group(meta.key_hash);
        Entry {
            offset: meta.offset,
            at: meta.processed,
            expires: expires.min(self.end_of_life(meta.processed)),
            group,
            ends_group: group != 0 && headers::ends_group(meta, line),
            restricted: meta.type_hash == self.compliance,
            first_of_group: false,
            deliveries: 0,
            size: meta.line_len,
            body: None,
        }
    }

    /// The group of a key: so many that they may all be remembered.
    const fn group(&self, key_hash: u64) -> u64 {
        if self.by_key && key_hash != 0 { 1 + key_hash % MAX_GROUPS } else { 0 }
    }

    /// When an event taken at `at` is too old.
    fn end_of_life(&self, at: Timestamp) -> Timestamp {
        let millis = |age: Duration| i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        self.max_age.map_or(NEVER, |age| at.plus_millis(millis(age)))
    }
}
