//! Events that there was no room to remember, and how they are found again.
//!
//! Called by `feed` and `load`. Scheduled events and those that no consumer chooses are remembered
//! one by one, but only so many of them: the others are forgotten. They are not done, so a second
//! pass over the log finds them when there is room, or when the first of them is due.
//!
//! Invariant: below `loaded`, an event that is neither done nor remembered is at or above
//! `Forgotten::from`, or above the place that a second pass has come to.

use std::collections::HashSet;
use std::sync::Arc;

use outflow_model::{Meta, Offset, Timestamp};
use outflow_store::{Block, BlockError, Read};

use super::entry::{Body, NEVER};
use super::feed::{Feed, Loaded, Sieve};
use super::properties::Candidate;
use super::queue::{Alarm, Queue};
use super::{EventView, headers};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forgotten {
    /// None of them is below.
    from: Offset,
    /// When the first of them is due that is scheduled.
    pub(crate) due: Timestamp,
    /// Whether some are there that nobody wanted.
    is_unwanted: bool,
}

impl Feed {
    /// Forgets an event, which is due at a time, or wanted by nobody now.
    pub(crate) fn forget(&mut self, offset: Offset, due: Timestamp) {
        let one = Forgotten { from: offset, due, is_unwanted: due == NEVER };
        let merged = self.forgotten.map_or(one, |known| Forgotten {
            from: known.from.min(offset),
            due: known.due.min(due),
            is_unwanted: known.is_unwanted || one.is_unwanted,
        });
        self.forgotten = Some(merged);
    }

    /// Looks for what nobody wanted: somebody may now.
    pub(crate) fn look_for_unwanted(&mut self) {
        if self.forgotten.is_some_and(|forgotten| forgotten.is_unwanted) {
            self.look_again();
        }
    }

    /// Empties the window while others of its events are out: a second pass finds those that were in it,
    /// and no others.
    pub(crate) fn let_go(&mut self) {
        if let Some(first) = self.empty() {
            self.forget(first, NEVER);
            self.look_again();
        }
    }

    /// Whether an event would be remembered out of its order, others before it being forgotten.
    pub(crate) fn forgot_before(&self, offset: Offset) -> bool {
        self.forgotten.is_some_and(|known| known.is_unwanted && known.from < offset)
    }

    /// Whether the second pass may find an event before the first that is ready.
    pub(crate) fn is_behind(&self) -> bool {
        let comes_first = |again| self.ready.front().is_none_or(|first| again <= first.offset);
        self.waits_for_again && self.again.is_some_and(comes_first)
    }

    /// From now on a second pass looks for what was forgotten.
    pub(crate) fn look_again(&mut self) {
        if let Some(Forgotten { from, is_unwanted, .. }) = self.forgotten.take() {
            self.waits_for_again |= is_unwanted;
            self.again = Some(self.again.map_or(from, |again| again.min(from)));
        }
    }

    /// The second pass has come so far.
    pub(crate) fn again_to(&mut self, offset: Offset) {
        self.again = Some(offset).filter(|offset| *offset < self.loaded);
        self.waits_for_again &= self.again.is_some();
    }

    /// Takes in what a second pass has read; `out` is what others have of the feed.
    ///
    /// # Errors
    /// [`BlockError`] with the offset past the damaged block.
    pub(crate) fn accept_again(
        &mut self,
        from: Offset,
        read: &Read,
        sieve: Sieve<'_>,
        out: &HashSet<Offset>,
        found: &mut Loaded,
    ) -> Result<(), (BlockError, Offset)> {
        for block in &read.blocks {
            let cut = self
                .look_through(block, from, sieve, out, found)
                .map_err(|error| (error, block.last.next()))?;
            if let Some(cut) = cut {
                found.is_cut = true;
                if self.again.is_none_or(|again| again >= from) {
                    self.again_to(cut);
                }
                return Ok(());
            }
        }
        // More may have been forgotten meanwhile, further in front.
        if self.again.is_none_or(|again| again >= from) {
            self.again_to(read.next);
        }
        Ok(())
    }

    /// Looks through a block; where it stopped for want of steps, if it did.
    fn look_through(
        &mut self,
        block: &Arc<Block>,
        from: Offset,
        sieve: Sieve<'_>,
        out: &HashSet<Offset>,
        found: &mut Loaded,
    ) -> Result<Option<Offset>, BlockError> {
        block.lines()?;
        let mut start = 0;
        for (index, meta) in block.metas()?.iter().enumerate() {
            let at = start;
            start += meta.line_len as usize;
            let is_known = meta.offset < from || meta.offset >= self.loaded;
            if !is_known && !out.contains(&meta.offset) && !self.remembers(meta.offset) {
                if sieve.is_spent() {
                    return Ok(Some(meta.offset));
                }
                let body = Body { block: block.clone(), start: at as u32, index: index as u32 };
                self.enter_again(&meta, body, sieve, found);
            }
        }
        Ok(None)
    }

    /// Whether it is known what becomes of the event.
    fn remembers(&self, offset: Offset) -> bool {
        self.place.is_done(offset)
            || self.apart.contains(&offset)
            || self.ready.binary_search_by_key(&offset, |entry| entry.offset).is_ok()
    }

    fn enter_again(&mut self, meta: &Meta, body: Body, sieve: Sieve<'_>, found: &mut Loaded) {
        let view = EventView::new(body.block.clone(), body.start as usize, *meta);
        let wanted = [self.filter.as_ref(), sieve.selector];
        let deliveries = self.counts.remove(&meta.offset).unwrap_or(0);
        // What belongs to the subscription does not change by deliveries.
        let candidate = Candidate { event: &view, stream: &self.stream.name, deliveries: 0 };
        if !sieve.shows(meta, view.line())
            || !wanted.into_iter().flatten().all(|one| sieve.suits(candidate, one))
        {
            self.place.pass(meta.offset, meta.offset.next());
            return;
        }
        let times = headers::times(meta, view.line());
        let mut entry = sieve.entry(meta, view.line(), times.until);
        entry.deliveries = deliveries;
        entry.body = Some(body);
        self.enter(entry, times.from, sieve, found);
    }
}

impl Queue {
    /// Forgets the first event of a feed: nobody takes it now, and too many such are remembered.
    pub(crate) fn forget_first(&mut self, key: u32) -> bool {
        let Some(entry) = self.pop(key) else { return false };
        if let Some(feed) = self.feed_mut(key) {
            if entry.deliveries > 0 {
                feed.counts.insert(entry.offset, entry.deliveries);
            }
            feed.forget(entry.offset, NEVER);
            self.forgot += 1;
        }
        true
    }

    /// What consumers have of a feed, and what is set aside of it.
    pub(crate) fn out_of(&self, key: u32) -> HashSet<Offset> {
        let aside = self.aside.range((key, Offset::ZERO)..).take_while(|((of, _), _)| *of == key);
        let aside = aside.map(|((_, offset), _)| *offset);
        self.hands.values().flat_map(|hand| hand.offsets_of(key)).chain(aside).collect()
    }

    /// Sets the alarm at which forgotten events of a feed are due.
    pub(crate) fn mind_forgotten(&mut self, key: u32) {
        let due = self.feed(key).and_then(|feed| feed.forgotten).map(|forgotten| forgotten.due);
        if let Some(due) = due.filter(|due| *due < NEVER) {
            self.alarms.insert(due, Alarm::Forgotten { feed: key });
        }
    }

    /// Gives up what a second pass cannot read any more, below `resume`; says how many events.
    pub(crate) fn lose_forgotten(&mut self, key: u32, from: Offset, resume: Offset) -> u64 {
        let mut known = self.out_of(key);
        let Some(feed) = self.feed_mut(key) else { return 0 };
        let end = resume.min(feed.loaded);
        known.extend(feed.apart.range(from..end).map(|(offset, _)| *offset));
        known.extend(feed.ready.iter().map(|entry| entry.offset));
        known.retain(|offset| (from..end).contains(offset) && !feed.place.is_done(*offset));
        let open = |feed: &Feed, to| feed.place.open_before(to);
        let lost =
            open(feed, end).saturating_sub(open(feed, from)).saturating_sub(known.len() as u64);
        feed.place.pass(from, end);
        known.into_iter().for_each(|offset| feed.place.reopen(offset));
        feed.again_to(resume);
        self.needs_write = true;
        self.tally.lost += lost;
        lost
    }
}
