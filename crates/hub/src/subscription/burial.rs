//! Dead letters: events given up, copied to another stream and done, in one batch.
//!
//! Called when an event was refused, delivered too often or has expired. A task runs while there are
//! any, and takes all that have come together.
//!
//! Invariant: an event is done only when its copy is stored; when it cannot be stored it is handed
//! out again, or tried again later.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use outflow_model::clock::Moment;
use outflow_model::meta::MetaSlice;
use outflow_model::{Draft, Offset, StreamName, Timestamp};
use outflow_store::ReadError;
use tokio::sync::oneshot;

use super::apart::Apart;
use super::directory::Ordered;
use super::entry::{Body, Entry};
use super::joint::{self, Joint, Part};
use super::queue::{Alarm, Queue};
use super::timetable::after;
use super::{EventView, SettleError, Subscription, TransactionError, headers};
use crate::destination::Kind;
use crate::hub::Inner;
use crate::{CatalogError, NewStream, Stream, publish};

/// How many are buried in one batch.
const AT_ONCE: usize = 256;
/// And how many bytes of them, but for one.
const BYTES_AT_ONCE: usize = 4 << 20;
/// After how long a failed burial is tried again.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// How many bytes a dead letter may have more than its event and its cause.
const LETTER_BYTES: usize = 1 << 10;

/// The cause of an event whose time was over.
pub(crate) const EXPIRED: &str = "expired";

/// An event given up.
#[derive(Debug)]
pub(crate) struct Dying {
    pub(crate) feed: u32,
    pub(crate) offset: Offset,
    pub(crate) deliveries: u32,
    /// Its content, where that is in memory.
    pub(crate) body: Option<Body>,
    pub(crate) cause: String,
    /// Who waits for the outcome: a consumer that refused it.
    pub(crate) tell: Option<oneshot::Sender<Result<(), SettleError>>>,
}

/// An event that a transaction gives up.
#[derive(Debug)]
pub(crate) struct Refused<'a> {
    pub(crate) subscription: &'a Arc<Subscription>,
    pub(crate) feed: u32,
    pub(crate) offset: Offset,
    pub(crate) deliveries: u32,
    pub(crate) cause: &'a str,
    /// How many bytes its dead letter may have.
    pub(crate) bytes: usize,
}

/// How many bytes the dead letter of an event may have: known without a read.
pub(crate) fn letter_bytes(entry: &Entry, cause: &str) -> usize {
    entry.size as usize + cause.len() + LETTER_BYTES
}

/// The dead letters of a transaction, by stream.
///
/// # Errors
/// [`SettleError`]: one cannot be read or has no stream, or all are more than there can be room for.
pub(crate) async fn letters(
    inner: &Arc<Inner>,
    refused: &[Refused<'_>],
) -> Result<Vec<(Arc<Stream>, Draft)>, SettleError> {
    let mut letters: Vec<(Arc<Stream>, Draft)> = Vec::new();
    let (mut bytes, max) = (0, inner.options.room());
    for Refused { subscription, feed, offset, deliveries, cause, bytes: more } in refused {
        let Some(name) = subscription.settings().dead_letter.clone() else { continue };
        bytes += *more;
        if bytes > max {
            return Err(SettleError::TooLarge { max });
        }
        let dying = Dying {
            feed: *feed,
            offset: *offset,
            deliveries: *deliveries,
            body: None,
            cause: (*cause).to_owned(),
            tell: None,
        };
        let found = find(inner, subscription, &dying).await;
        let found = found.map_err(|error| SettleError::Unavailable(error.to_string()))?;
        let Some((view, from)) = found.filter(|(view, _)| !is_forgotten(&dying, view)) else {
            continue;
        };
        let name = (name != from.name).then_some(name);
        let target = target(inner, subscription, name).await;
        let target = target.map_err(|error| SettleError::Unavailable(error.to_string()))?;
        let Some(stream) = target else { continue };
        let at = letters.iter().position(|(known, _)| known.id == stream.id).unwrap_or_else(|| {
            letters.push((stream, Draft::default()));
            letters.len() - 1
        });
        if let Some((_, draft)) = letters.get_mut(at) {
            copy(subscription, draft, &dying, &view, &from);
        }
    }
    Ok(letters)
}

/// Buries all there are.
pub(crate) async fn run(inner: Arc<Inner>, subscription: Arc<Subscription>) {
    loop {
        let (batch, name) = {
            let mut queue = subscription.queue.lock();
            let count = queue.dying.len().min(AT_ONCE);
            let name = queue.settings.dead_letter.clone();
            if count == 0 || queue.closed || queue.burial_failed {
                queue.burying = false;
                let is_awaited = queue.peekers > 0;
                drop(queue);
                if is_awaited {
                    // A look does not end while what is first is on its way out.
                    subscription.seen.notify_waiters();
                }
                return;
            }
            (queue.dying.drain(..count).collect::<Vec<_>>(), name)
        };
        bury(&inner, &subscription, batch, name).await;
    }
}

/// Buries a batch, or puts it back.
async fn bury(
    inner: &Arc<Inner>,
    subscription: &Arc<Subscription>,
    mut batch: Vec<Dying>,
    name: Option<StreamName>,
) {
    let (mut draft, mut fits) = (Draft::default(), 0);
    let mut failure = None;
    for dying in &batch {
        if draft.bytes() > BYTES_AT_ONCE {
            break;
        }
        match find(inner, subscription, dying).await {
            Ok(Some((view, _))) if is_forgotten(dying, &view) => {}
            Ok(Some((view, stream))) => copy(subscription, &mut draft, dying, &view, &stream),
            // It was lost before it could be buried.
            Ok(None) => {}
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
        fits += 1;
    }
    let rest = batch.split_off(fits);
    if !rest.is_empty() {
        let mut queue = subscription.queue.lock();
        queue.dying.splice(0..0, rest);
        if let Some(error) = failure.filter(|_| batch.is_empty()) {
            tracing::warn!(subscription = %subscription.id(), %error, "dead events cannot be read; trying again");
            queue.bury_again(after(inner.clock.passed(), RETRY));
            drop(subscription.finish(inner, queue));
            return;
        }
    }
    let count = draft.len() as u64;
    let name = name.filter(|_| count > 0);
    let outcome = match target(inner, subscription, name).await {
        Ok(stream) => store(inner, subscription, &batch, stream, draft).await,
        Err(error) => Err(SettleError::Unavailable(error.to_string())),
    };
    match &outcome {
        Ok(()) => {
            inner.subscriptions.metrics.dead.inc_by(count);
        }
        Err(error) => {
            tracing::warn!(subscription = %subscription.id(), %error, "dead events could not be stored; they are handed out or tried again");
        }
    }
    conclude(inner, subscription, batch, &outcome);
}

async fn store(
    inner: &Arc<Inner>,
    subscription: &Arc<Subscription>,
    batch: &[Dying],
    stream: Option<Arc<Stream>>,
    draft: Draft,
) -> Result<(), SettleError> {
    let part = Part { done: batch.iter().map(|dying| (dying.feed, dying.offset)).collect() };
    let bytes = draft.bytes();
    let publishes = stream.filter(|_| !draft.is_empty()).map(|stream| (stream, draft));
    let parts = BTreeMap::from([(Ordered(subscription.clone()), part)]);
    let joint = Joint { publishes: publishes.into_iter().collect(), parts, ops: Vec::new() };
    let after = |_: &Arc<Subscription>, queue: &mut Queue, stored: bool| {
        for dying in batch {
            if stored {
                if let Some(feed) = queue.feed_mut(dying.feed) {
                    feed.apart.remove(&dying.offset);
                }
            } else {
                queue.undo(dying.feed, dying.offset);
            }
        }
    };
    let failed = |error: TransactionError| match error {
        TransactionError::Settle(error) => error,
        other => SettleError::Unavailable(other.to_string()),
    };
    let permit = publish::admit(inner, bytes).await.map_err(|error| failed(error.into()))?;
    joint::commit(inner, joint, permit, after).await.map(drop).map_err(failed)
}

/// Tells those who wait; what was not stored goes back.
fn conclude(
    inner: &Arc<Inner>,
    subscription: &Arc<Subscription>,
    batch: Vec<Dying>,
    outcome: &Result<(), SettleError>,
) {
    let mut queue = subscription.queue.lock();
    let mut again = Vec::new();
    for mut dying in batch {
        let tell = dying.tell.take();
        if outcome.is_err() {
            if tell.is_some() {
                queue.revive(dying.feed, dying.offset);
            } else {
                queue.bury_again(after(inner.clock.passed(), RETRY));
                again.push(dying);
            }
        }
        if let Some(tell) = tell {
            // The consumer may have gone away.
            let _ = tell.send(outcome.clone());
        }
    }
    // Before those that came meanwhile: the dead letters keep the order.
    queue.dying.splice(0..0, again);
    drop(subscription.finish(inner, queue));
}

impl Queue {
    /// Buries no more until `at`.
    fn bury_again(&mut self, at: Moment) {
        if !std::mem::replace(&mut self.burial_failed, true) {
            self.alarms.insert(at, Alarm::Burial);
        }
    }

    /// An event that could not be buried is handed out again.
    fn revive(&mut self, key: u32, offset: Offset) {
        let Some(feed) = self.feed_mut(key) else { return };
        if let Some((entry, Apart::Settling)) = feed.apart.remove(&offset) {
            self.make_ready(key, entry);
        }
    }
}

/// The event, with its stream; `None`: it is lost.
async fn find(
    inner: &Inner,
    subscription: &Subscription,
    dying: &Dying,
) -> Result<Option<(EventView, Arc<Stream>)>, ReadError> {
    let stream = {
        let queue = subscription.queue.lock();
        queue.feed(dying.feed).map(|feed| feed.stream.clone())
    };
    let Some(stream) = stream else { return Ok(None) };
    if let Some(body) = &dying.body
        && let Ok(metas) = body.block.meta_bytes()
        && let Some(meta) = MetaSlice::new(metas).get(body.index as usize)
    {
        return Ok(Some((EventView::new(body.block.clone(), body.start as usize, meta), stream)));
    }
    Ok(view_at(inner, &stream, dying.offset).await?.map(|view| (view, stream)))
}

/// The event at an offset; `None`: it is no longer there.
pub(crate) async fn view_at(
    inner: &Inner,
    stream: &Stream,
    offset: Offset,
) -> Result<Option<EventView>, ReadError> {
    let read = match inner.engine.read(stream.id, offset, 1).await {
        Ok(read) => read,
        Err(error @ ReadError::Io(_)) => return Err(error),
        Err(_) => return Ok(None),
    };
    for block in read.blocks {
        let (Ok(metas), Ok(_)) = (block.metas(), block.lines()) else { continue };
        let mut start = 0;
        for meta in metas.iter() {
            if meta.offset == offset {
                return Ok(Some(EventView::new(block.clone(), start, meta)));
            }
            start += meta.line_len as usize;
        }
    }
    Ok(None)
}

/// Whether an event is not worth a dead letter: its time is over, and its sender did not ask for it
/// to be kept. Messages of brokers' clients say so; any other event is kept.
fn is_forgotten(dying: &Dying, view: &EventView) -> bool {
    dying.cause == EXPIRED
        && view.event_type() == headers::MESSAGE_TYPE
        && view.header(headers::PERSISTENT).is_none_or(|said| !said.eq_ignore_ascii_case("true"))
}

/// Adds a dead letter to the draft.
fn copy(
    subscription: &Subscription,
    draft: &mut Draft,
    dying: &Dying,
    view: &EventView,
    stream: &Stream,
) {
    let (offset, deliveries) = (dying.offset.to_string(), dying.deliveries.to_string());
    let before = Before::of(view);
    let mut added = vec![
        (headers::DEAD_CAUSE, dying.cause.as_str()),
        (headers::DEAD_STREAM, stream.name.as_str()),
        (headers::DEAD_SUBSCRIPTION, subscription.name().as_str()),
        (headers::DEAD_OFFSET, offset.as_str()),
        (headers::DEAD_DELIVERIES, deliveries.as_str()),
    ];
    let mut dropped = headers::RESERVED_NAMES.to_vec();
    before.say(&mut added, &mut dropped);
    draft.push_copy(view.line(), view.meta(), &dropped, &added);
}

/// What the dead letter of a message tells of what it was, besides the hub's own headers: as ActiveMQ
/// does, so that clients of brokers can send it again as it was (`RegionBroker.sendToDeadLetterQueue`).
struct Before {
    /// When its time would have been over, in milliseconds, 0: never; `None`: it says so already.
    expiration: Option<String>,
    /// The types of its properties with that one.
    types: String,
    /// Whether it was a message that need not be kept; a dead letter is.
    was_passing: bool,
}

impl Before {
    fn of(view: &EventView) -> Self {
        let is_message = view.event_type() == headers::MESSAGE_TYPE;
        let tells = is_message && view.header(headers::ORIGINAL_EXPIRATION).is_none();
        let until = view.header(headers::EXPIRES);
        let until = until.and_then(|text| Timestamp::parse_rfc3339(text.as_bytes()));
        let expiration = tells.then(|| until.map_or(0, Timestamp::millis).to_string());
        let mut types = view.header(headers::TYPES).map(Cow::into_owned).unwrap_or_default();
        if !types.is_empty() {
            types.push(';');
        }
        types.push_str("l:");
        types.push_str(headers::ORIGINAL_EXPIRATION);
        let is_kept = |said: Cow<'_, str>| said.eq_ignore_ascii_case("true");
        let was_passing = is_message && !view.header(headers::PERSISTENT).is_some_and(is_kept);
        Self { expiration, types, was_passing }
    }

    fn say<'a>(&'a self, added: &mut Vec<(&'a str, &'a str)>, dropped: &mut Vec<&'a str>) {
        if let Some(expiration) = &self.expiration {
            added.push((headers::ORIGINAL_EXPIRATION, expiration));
            dropped.push(headers::TYPES);
            added.push((headers::TYPES, &self.types));
        }
        if self.was_passing {
            dropped.extend([headers::PERSISTENT, headers::ORIGINAL_DELIVERY_MODE]);
            added.push((headers::PERSISTENT, "true"));
            added.push((headers::ORIGINAL_DELIVERY_MODE, "NON_PERSISTENT"));
        }
    }
}

/// The dead letters' stream, made if need be; `None`: the subscription has none any more.
async fn target(
    inner: &Arc<Inner>,
    subscription: &Subscription,
    name: Option<StreamName>,
) -> Result<Option<Arc<Stream>>, CatalogError> {
    let Some(name) = name else { return Ok(None) };
    let found = inner.catalog.read().stream(subscription.project(), &name);
    if found.is_some() {
        return Ok(found);
    }
    let hub = crate::Hub::of(inner.clone());
    // Whatever it is called, it is looked at late: it keeps its events as long as a queue does.
    let settings = hub.settings_of_made(Kind::Queue);
    let new = NewStream { name: name.clone(), settings };
    let made = match subscription.endpoint() {
        Some(id) => match hub.create_telling_stream(&id, new).await {
            // It has gone with its webhook.
            Err(CatalogError::NotFound) => return Ok(None),
            made => made,
        },
        None => hub.create_stream(subscription.project(), new).await,
    };
    match made {
        Ok(stream) => Ok(Some(stream)),
        Err(CatalogError::Exists) => Ok(inner.catalog.read().stream(subscription.project(), &name)),
        Err(error) => Err(error),
    }
}
