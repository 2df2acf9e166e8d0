//! Loading: from a subscription's places to ready events.
//!
//! Called by the pumps, by the lines of projects (`line`) where a look costs much, and by whoever looks into a subscription. One at a time loads for a
//! subscription, outside its lock; what was read is taken in under it and handed out at once. Which of it may be
//! seen is found out before, too, where that takes long.
//!
//! Invariants: no more is loaded than the window holds; no costly filter is evaluated under the lock, for which
//! posts wait that serve others as well; subscriptions that read the same place
//! share the same block.

use std::cell::Cell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};

use outflow_model::{Offset, ProjectId, StreamId};
use outflow_store::{Block, Bounds, Read, ReadError};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::Subscription;
use super::apart::Apart;
use super::entry::NEVER;
use super::feed::{Feed, Loaded, Sieve};
use super::line::Work;
use super::queue::{Alarm, Queue};
use super::timetable::after;
use crate::Stream;
use crate::aside::{self, Shown};
use crate::hub::Inner;
use crate::view::View;

/// How many events may be ready for consumers to come; fewer than half make a load worthwhile.
pub(crate) const WINDOW_EVENTS: usize = 4_096;
/// The same in bytes of lines.
pub(crate) const WINDOW_BYTES: usize = 1 << 20;
/// What is read for those who only look.
const PEEK_BYTES: usize = 32 << 10;
/// How many streams are read in one round.
const FEEDS_PER_ROUND: usize = 32;
/// After how long a failed read is tried again.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// A read to be made.
#[derive(Debug)]
struct Want {
    feed: u32,
    stream: Arc<Stream>,
    from: Offset,
    bytes: usize,
    /// What may be seen of it.
    view: Option<Arc<View>>,
    /// Whether it is a second pass over what was loaded before.
    is_again: bool,
}

/// What has become of a load.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// There is nothing more to load.
    Last,
    /// There is more.
    More,
    /// What was read costs much to look at, and was not.
    Costly,
    /// Selectors have taken all the steps that they may at once.
    Spent,
}

/// Loads what the subscription has room for, unless somebody does: they look again when they have
/// taken in what they read.
pub(crate) async fn if_idle(inner: &Arc<Inner>, subscription: &Arc<Subscription>) {
    go_on(inner, subscription, Way::Own).await;
}

/// The same, for who loads for others as well: what costs much goes on in its project's line.
pub(crate) async fn or_line_up(inner: &Arc<Inner>, subscription: &Arc<Subscription>) {
    go_on(inner, subscription, Way::Shared).await;
}

async fn go_on(inner: &Arc<Inner>, subscription: &Arc<Subscription>, way: Way<'_>) {
    let Some((mut load, is_overdrawn)) = Load::begin(inner, subscription) else { return };
    let lines = &inner.subscriptions.lines;
    if is_overdrawn {
        return lines.enter(inner, Work::Choosing, load);
    }
    loop {
        match load.round(inner, way).await {
            Round::Last => return,
            Round::More => {}
            Round::Costly => return lines.enter(inner, Work::Looking, load),
            Round::Spent => return lines.enter(inner, Work::Choosing, load),
        }
    }
}

/// Who goes on with a load.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way<'a> {
    /// Somebody who loads nothing else, or the line for looks.
    Own,
    /// A pump.
    Shared,
    /// The line for choosing, which waits for its turn.
    InTurn(&'a Semaphore),
}

/// The turn to load for a subscription. It is given back when whoever has it goes away in a read: a
/// Peek's caller may hang up at any moment.
#[derive(Debug)]
pub(crate) struct Load {
    inner: Weak<Inner>,
    subscription: Arc<Subscription>,
    wants: Vec<Want>,
    is_over: bool,
}

impl Load {
    /// Takes the turn, if there is something to load. Says whether selectors are to be asked further.
    fn begin(inner: &Arc<Inner>, subscription: &Arc<Subscription>) -> Option<(Self, bool)> {
        let mut queue = subscription.queue.lock();
        if queue.loading {
            return None;
        }
        let wants = plan(inner, &mut queue);
        let is_overdrawn = queue.is_overdrawn && queue.is_wanted();
        queue.loading = is_overdrawn || !wants.is_empty();
        if !queue.loading {
            // That a feed has no more may have been all that others waited for.
            drop(subscription.finish(inner, queue));
            return None;
        }
        let subscription = subscription.clone();
        let load = Self { inner: Arc::downgrade(inner), subscription, wants, is_over: false };
        Some((load, is_overdrawn))
    }

    pub(crate) fn project(&self) -> &ProjectId {
        &self.subscription.project
    }

    /// Reads what is wanted, and takes it in.
    pub(crate) async fn round(&mut self, inner: &Arc<Inner>, way: Way<'_>) -> Round {
        let mut reads = Vec::with_capacity(self.wants.len());
        let mut is_left = false;
        for want in &self.wants {
            let read = read(inner, want).await;
            match way {
                Way::Shared if is_costly(want, &read) => return Round::Costly,
                Way::InTurn(_) if is_costly(want, &read) => {
                    is_left = true;
                    continue;
                }
                _ => {}
            }
            let shown = look(inner, want, &read).await;
            reads.push((want, read, shown));
        }
        let _turn = match way {
            Way::InTurn(turns) => turns.acquire().await.ok(),
            Way::Own | Way::Shared => None,
        };
        let subscription = &self.subscription;
        let mut queue = subscription.queue.lock();
        let steps = Cell::new(inner.options.max_steps.max(1));
        for (want, read, shown) in reads {
            if steps.get() > 0 && is_looked_at(&queue, &read, shown.as_ref()) {
                let with = (shown.as_ref(), &steps);
                take_in(inner, subscription, &mut queue, want, &read, with);
            }
        }
        if matches!(way, Way::InTurn(_)) {
            queue.is_overdrawn = false;
        }
        // What was given up meanwhile is written in passing.
        drop(subscription.finish(inner, queue));
        let mut queue = subscription.queue.lock();
        self.wants = plan(inner, &mut queue);
        if is_left && !self.wants.is_empty() {
            return Round::Costly;
        }
        if queue.is_wanted() && (steps.get() == 0 || queue.is_overdrawn) {
            return Round::Spent;
        }
        if !self.wants.is_empty() {
            return Round::More;
        }
        self.is_over = true;
        queue.loading = false;
        drop(subscription.finish(inner, queue));
        subscription.seen.notify_waiters();
        Round::Last
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let Some(inner) = self.inner.upgrade().filter(|_| !self.is_over) else { return };
        let mut queue = self.subscription.queue.lock();
        queue.loading = false;
        drop(self.subscription.finish(&inner, queue));
        self.subscription.seen.notify_waiters();
    }
}

/// What to read now. Takes note of the feeds that have no more.
fn plan(inner: &Inner, queue: &mut Queue) -> Vec<Want> {
    if queue.is_retrying || !queue.is_wanted() {
        return Vec::new();
    }
    let bytes = if queue.hands.is_empty() { PEEK_BYTES } else { inner.options.read_chunk_bytes };
    let view = queue.view.clone();
    let want = |feed: &Feed, from, is_again| {
        let (stream, view) = (feed.stream.clone(), view.clone());
        Want { feed: feed.key, stream, from, bytes, view, is_again }
    };
    let cold = queue.first().filter(|(_, entry)| entry.body.is_none());
    let cold = cold.and_then(|(key, entry)| Some(want(queue.feed(key)?, entry.offset, false)));
    let mut wants = Vec::from_iter(cold);
    let has_room = queue.has_room();
    for feed in &mut queue.feeds {
        if wants.len() >= FEEDS_PER_ROUND {
            break;
        }
        feed.skip_done();
        let bounds = feed.stream.bounds(&*inner.engine);
        let next = bounds.map_or(feed.loaded, |bounds| bounds.next);
        feed.at_end = feed.loaded >= next;
        queue.news |= std::mem::replace(&mut feed.end, next) < next;
        if wants.iter().any(|want| want.feed == feed.key) {
            continue;
        }
        if let Some(again) = feed.again {
            // The window may have been let go of since.
            feed.again_to(again);
        }
        // What an empty feed has may come before all that is ready.
        let is_wanted = feed.ready.is_empty() || has_room;
        let is_behind = feed.is_behind();
        if let Some(again) = feed.again.filter(|_| has_room || is_behind) {
            wants.push(want(feed, again, true));
        } else if !feed.at_end && is_wanted {
            wants.push(want(feed, feed.loaded, false));
        }
    }
    wants
}

impl Queue {
    /// Whether the window is less than half full.
    fn has_room(&self) -> bool {
        self.ready < WINDOW_EVENTS / 2 && self.ready_bytes < WINDOW_BYTES / 2
    }

    /// Whether it is known what comes first: no feed may have something earlier that was not
    /// looked at.
    pub(crate) fn is_known(&self) -> bool {
        let looked = |feed: &Feed| feed.at_end || !feed.ready.is_empty();
        self.is_retrying
            || ((self.feeds.len() == 1 || self.feeds.iter().all(looked))
                && !self.feeds.iter().any(Feed::is_behind))
    }

    /// Whether anybody is there that it would load for.
    fn is_wanted(&self) -> bool {
        !self.closed && (!self.hands.is_empty() || self.peekers > 0)
    }

    /// Whether somebody should load.
    pub(crate) fn wants_load(&self) -> bool {
        if self.loading || !self.is_wanted() {
            return false;
        }
        if self.is_overdrawn {
            return true;
        }
        let is_cold = self.first().is_some_and(|(_, entry)| entry.body.is_none());
        is_cold
            || !self.is_known()
            || (self.has_room()
                && self.feeds.iter().any(|feed| !feed.at_end || feed.again.is_some()))
    }
}

/// Reads, from what others have just read if possible.
async fn read(inner: &Inner, want: &Want) -> Result<Read, ReadError> {
    if let Some(read) = inner.subscriptions.recent.find(want.stream.id, want.from) {
        return Ok(read);
    }
    let read = inner.engine.read(want.stream.id, want.from, want.bytes).await?;
    inner.subscriptions.recent.keep(want.stream.id, want.from, &read);
    Ok(read)
}

/// Whether it costs much to find out what of it may be seen.
fn is_costly(want: &Want, read: &Result<Read, ReadError>) -> bool {
    let (Some(view), Ok(read)) = (&want.view, read) else { return false };
    aside::is_costly(view, &read.blocks)
}

/// Finds out what of it may be seen, if that costs much.
async fn look(inner: &Inner, want: &Want, read: &Result<Read, ReadError>) -> Option<Shown> {
    if !is_costly(want, read) {
        return None;
    }
    let (Some(view), Ok(read)) = (&want.view, read) else { return None };
    let now = inner.clock.now();
    let (turns, project) = (&inner.looks, &want.stream.project);
    Some(aside::shown(turns, project, view, &read.blocks, want.from, now).await)
}

/// Whether what was read can be taken in. Otherwise its integration may see other events than it might a moment
/// ago: it is looked at again, outside the lock.
fn is_looked_at(queue: &Queue, read: &Result<Read, ReadError>, shown: Option<&Shown>) -> bool {
    let (Some(view), Ok(read)) = (&queue.view, read) else { return true };
    shown.is_some_and(|shown| shown.is_by(view)) || !aside::is_costly(view, &read.blocks)
}

fn take_in(
    inner: &Inner,
    subscription: &Subscription,
    queue: &mut Queue,
    want: &Want,
    read: &Result<Read, ReadError>,
    (shown, steps): (Option<&Shown>, &Cell<usize>),
) {
    let settings = queue.settings.clone();
    let now = inner.clock.now();
    let view = queue.view.clone();
    let sieve = Queue::sieve(&settings, inner.options.max_apart, now);
    let shown = shown.filter(|shown| view.as_ref().is_some_and(|view| shown.is_by(view)));
    let is_outdated = queue.is_outdated;
    let sieve = Sieve { view: view.as_deref(), shown, is_outdated, steps: Some(steps), ..sieve };
    let mut found = Loaded::default();
    let out = if want.is_again { queue.out_of(want.feed) } else { HashSet::new() };
    let Some(feed) = queue.feed_mut(want.feed) else { return };
    let old = feed.ready.front().map(|first| first.at);
    let taken = match read {
        Ok(read) => {
            let taken = if want.is_again {
                feed.accept_again(want.from, read, sieve, &out, &mut found)
            } else {
                feed.accept(want.from, read, sieve, &mut found)
            };
            let taken = taken.map_err(|(error, resume)| (error.to_string(), resume));
            let bounds = feed.stream.bounds(&*inner.engine);
            feed.at_end = bounds.is_ok_and(|bounds| feed.loaded >= bounds.next);
            taken
        }
        Err(ReadError::Trimmed { start }) => Err(("no longer retained".into(), *start)),
        Err(ReadError::Damaged { detail, resume }) => Err((detail.clone(), *resume)),
        Err(ReadError::UnknownStream(_)) => {
            // It is being deleted, and the feed will go.
            feed.at_end = true;
            Err(("the stream is deleted".into(), feed.loaded.max(want.from.next())))
        }
        Err(ReadError::Io(reason)) => {
            tracing::warn!(subscription = %subscription.id(), stream = %want.stream.id, %reason, "events cannot be read; trying again");
            queue.is_retrying = true;
            queue.alarms.insert(after(inner.clock.passed(), RETRY), Alarm::Retry);
            return;
        }
    };
    queue.loaded(want.feed, old, found);
    if let Err((reason, resume)) = taken {
        let lost = if want.is_again {
            queue.lose_forgotten(want.feed, want.from, resume)
        } else {
            queue.lose(want.feed, resume)
        };
        if lost > 0 {
            tracing::warn!(subscription = %subscription.id(), name = %subscription.name(), stream = %want.stream.id, lost, %reason, "events were lost before they were settled");
            inner.subscriptions.metrics.lost.inc_by(lost);
        }
    } else if let Some((key, first)) = queue.first()
        && key == want.feed
        && first.offset == want.from
        && first.body.is_none()
    {
        // It was read and is not there: a hole that retention or repair has left.
        let lost = queue.lose(key, want.from.next());
        inner.subscriptions.metrics.lost.inc_by(lost);
    }
}

impl Queue {
    /// Gives up the events below `resume` that are not in memory; says how many.
    fn lose(&mut self, key: u32, resume: Offset) -> u64 {
        let cold: Vec<Offset> = self.feed(key).map_or_else(Vec::new, |feed| {
            let below = feed.ready.iter().take_while(|entry| entry.offset < resume);
            below.filter(|entry| entry.body.is_none()).map(|entry| entry.offset).collect()
        });
        let mut lost = cold.len() as u64;
        for offset in cold {
            if self.take_ready(key, offset).is_some() {
                self.done(key, offset);
            }
        }
        if let Some(feed) = self.feed_mut(key)
            && feed.loaded < resume
        {
            let apart = feed.apart.range(feed.loaded..resume).count() as u64;
            let open =
                feed.place.open_before(resume).saturating_sub(feed.place.open_before(feed.loaded));
            lost += open.saturating_sub(apart);
            let kept: Vec<Offset> =
                feed.apart.range(feed.loaded..resume).map(|(offset, _)| *offset).collect();
            feed.skip_to(resume);
            // Those that are apart come back by themselves, and are looked for then.
            kept.into_iter().for_each(|offset| feed.place.reopen(offset));
            self.needs_write = true;
        }
        self.tally.lost += lost;
        lost
    }

    /// Takes the event of an alarm that is due out of its state of being apart.
    pub(crate) fn rejoin(&mut self, key: u32, offset: Offset) {
        let max = self.max_apart;
        let Some(feed) = self.feed_mut(key) else { return };
        let Some((entry, apart)) = feed.apart.remove(&offset) else { return };
        let is_due = feed.forgotten.is_some_and(|forgotten| forgotten.due < NEVER);
        if is_due && feed.apart.scheduled() < max / 2 {
            feed.look_again();
        }
        if let Apart::Leased { lease, .. } = apart {
            self.desk.remove(&lease);
        }
        self.put_back(vec![(key, entry)]);
    }
}

/// Blocks read a moment ago, as long as somebody still holds them.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    reads: Mutex<HashMap<StreamId, VecDeque<Remembered>>>,
}

/// A read of one block.
#[derive(Debug)]
struct Remembered {
    from: Offset,
    next: Offset,
    bounds: Bounds,
    block: Weak<Block>,
}

/// How many reads of a stream are remembered.
const REMEMBERED: usize = 4;
/// So many streams make it worth looking for what is gone.
const MANY: usize = 1_024;

impl Recent {
    fn find(&self, stream: StreamId, from: Offset) -> Option<Read> {
        let reads = self.reads.lock();
        let covers = |read: &&Remembered| read.from <= from && from < read.next;
        let found = reads.get(&stream)?.iter().rev().find(covers)?;
        let block = found.block.upgrade()?;
        Some(Read { blocks: vec![block], next: found.next, bounds: found.bounds })
    }

    fn keep(&self, stream: StreamId, from: Offset, read: &Read) {
        let [block] = read.blocks.as_slice() else { return };
        let mut reads = self.reads.lock();
        if reads.len() >= MANY {
            reads.retain(|_, reads| reads.iter().any(|read| read.block.strong_count() > 0));
        }
        let of_stream = reads.entry(stream).or_default();
        if of_stream.len() >= REMEMBERED {
            of_stream.pop_front();
        }
        let (next, bounds) = (read.next, read.bounds);
        of_stream.push_back(Remembered { from, next, bounds, block: Arc::downgrade(block) });
    }
}
