//! Changes of subscriptions: making, changing and deleting them.
//!
//! Called by [`Hub`](crate::Hub). As all changes of the catalog they come one at a time, are durable
//! first and shown after.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use outflow_model::{Offset, ProjectId, StreamName, Timestamp};
use outflow_store::{Condition, Op, Put, ReadError as EngineError};

use super::feed::Feed;
use super::follow::{attach, detach};
use super::idleness::Idleness;
use super::place::{self, Place};
use super::queue::Queue;
use super::record::{self, Stored};
use super::timetable::Now;
use super::{
    NewSubscription, Source, Sources, Subscription, SubscriptionId, SubscriptionSettings, directory,
};
use crate::catalog::change::{check_text, commit, unavailable};
use crate::catalog::scan;
use crate::catalog::turn::{Change, in_turn};
use crate::destination::{Destination, Kind};
use crate::hub::Inner;
use crate::{CatalogError, CloseReason, Start, Stream, webhook};

const MAX_DESCRIPTION_BYTES: usize = 1_024;
/// How many streams a subscription may name.
const MAX_SOURCES: usize = 1_000;

type Changed<T> = Result<T, CatalogError>;

/// See [`Hub::create_subscription`](crate::Hub::create_subscription).
pub(crate) async fn create(
    inner: Arc<Inner>,
    project: ProjectId,
    new: NewSubscription,
) -> Changed<Arc<Subscription>> {
    if new.name.as_str().starts_with(webhook::PREFIX) {
        let reason = "name: it must not begin with `webhook:`";
        return Err(CatalogError::Invalid(reason.into()));
    }
    create_with(&inner, &project, new, Vec::new()).await
}

/// Creates a subscription in one batch with what `ops` do.
pub(crate) async fn create_with(
    inner: &Arc<Inner>,
    project: &ProjectId,
    new: NewSubscription,
    mut ops: Vec<Op>,
) -> Changed<Arc<Subscription>> {
    let NewSubscription { name, sources, settings, durable } = new;
    check(&settings)?;
    check_dead_letters(inner, project, &settings)?;
    check_sources(&sources)?;
    {
        let catalog = inner.catalog.read();
        catalog.tenants.get(project).ok_or(CatalogError::NotFound)?;
        let directory = inner.subscriptions.directory.read();
        if directory.find(project, name.as_str()).is_some() {
            return Err(CatalogError::Exists);
        }
        let max = inner.options.max_subscriptions;
        if directory.count(project) >= max {
            return Err(CatalogError::TooMany { max });
        }
    }
    let streams = directory::streams_of(&inner.catalog.read(), project, &sources);
    let mut places = Vec::with_capacity(streams.len());
    for stream in streams {
        let floor = locate(inner, &stream, start_of(&sources, &stream.name)).await?;
        places.push((stream, Place::at(floor)));
    }
    let now = Now::of(&*inner.clock);
    let created = now.day;
    let id = if durable { number(inner, &mut ops).await? } else { passing_number(inner) };
    let stored = Stored { id, project: project.clone(), name, created, sources, settings };
    if durable {
        let key = record::key(&stored.project, &stored.name);
        ops.push(put(key, Some(record::of(&stored)), Condition::Absent));
        for (stream, place) in &mut places {
            place.unwrite();
            place.write(id, stream.id, &mut ops);
        }
        commit(inner, ops).await?;
    }
    let subscription = Arc::new(Subscription::new(stored, durable, Idleness::since(created, now)));
    {
        let mut queue = subscription.queue.lock();
        for (stream, place) in places {
            subscription.take_up(&mut queue, &stream, place);
        }
    }
    inner.subscriptions.directory.write().enter(&subscription);
    if Destination::of_subscription(&subscription).is_some_and(|queue| queue.kind == Kind::Queue) {
        inner.subscriptions.queue_made(subscription.project());
    }
    Ok(subscription)
}

/// The number of a subscription that lasts; it is taken in the batch that makes it.
async fn number(inner: &Inner, ops: &mut Vec<Op>) -> Changed<SubscriptionId> {
    let counter = inner.engine.get(record::NEXT_SUBSCRIPTION).await.map_err(unavailable)?;
    let (number, condition) = match &counter {
        Some(entry) => {
            let text = std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse().ok());
            let number: u32 = text.ok_or_else(|| unavailable("the counter is damaged"))?;
            (number, Condition::Revision(entry.revision))
        }
        None => (1, Condition::Absent),
    };
    if number >= directory::FIRST_PASSING {
        return Err(CatalogError::TooMany { max: directory::FIRST_PASSING as usize });
    }
    let key = Bytes::from_static(record::NEXT_SUBSCRIPTION);
    ops.push(put(key, Some((number + 1).to_string().into()), condition));
    Ok(SubscriptionId(number))
}

/// The number of one that does not.
fn passing_number(inner: &Inner) -> SubscriptionId {
    let number = inner.subscriptions.passing.fetch_add(1, Ordering::Relaxed);
    SubscriptionId(number | directory::FIRST_PASSING)
}

fn start_of(sources: &Sources, name: &StreamName) -> Start {
    match sources {
        Sources::Streams(sources) => {
            let source = sources.iter().find(|source| source.stream == *name);
            source.map_or(Start::Latest, |source| source.start)
        }
        Sources::Matching { start, .. } => *start,
    }
}

/// Where a place begins.
pub(crate) async fn locate(inner: &Inner, stream: &Stream, start: Start) -> Changed<Offset> {
    let failed = |error: EngineError| unavailable(error);
    let bounds = stream.bounds(&*inner.engine).map_err(failed)?;
    Ok(match start {
        Start::Earliest => bounds.start,
        // Behind what is accepted, too: one that does not wait for the disk is acknowledged before it
        // is committed, and whoever subscribes after that is not to get it.
        Start::Latest => stream.lane.order.lock().end(bounds.next),
        Start::After(offset) => offset.next().clamp(bounds.start, bounds.next),
        Start::At(at) => {
            let found = inner.engine.seek(stream.id, at).await.map_err(failed)?;
            found.clamp(bounds.start, bounds.next.max(found))
        }
    })
}

/// Replaces the settings, or the sources as well.
async fn replace(
    inner: &Inner,
    subscription: &Subscription,
    settings: &SubscriptionSettings,
    sources: &Sources,
    mut ops: Vec<Op>,
) -> Changed<()> {
    if !subscription.durable {
        return Ok(());
    }
    let stored = Stored {
        id: subscription.id(),
        project: subscription.project().clone(),
        name: subscription.name().clone(),
        created: subscription.created,
        sources: sources.clone(),
        settings: settings.clone(),
    };
    let key = record::key(&stored.project, &stored.name);
    ops.push(put(key, Some(record::of(&stored)), Condition::Any));
    commit(inner, ops).await
}

/// See [`Hub::update_subscription`](crate::Hub::update_subscription).
pub(crate) async fn update(
    inner: Arc<Inner>,
    subscription: Arc<Subscription>,
    settings: SubscriptionSettings,
) -> Changed<()> {
    check(&settings)?;
    check_dead_letters(&inner, subscription.project(), &settings)?;
    is_there(&inner, &subscription)?;
    replace(&inner, &subscription, &settings, &subscription.shared_sources(), Vec::new()).await?;
    let mut queue = subscription.queue.lock();
    let old = std::mem::replace(&mut queue.settings, Arc::new(settings));
    if old.idle_expiry != queue.settings.idle_expiry {
        subscription.idleness.spare(queue.settings.idle_expiry, inner.clock.passed());
    }
    if old.max_age != queue.settings.max_age {
        queue.next_look = Timestamp::default();
        // What is ready knows when it is over by the old age, and is found again by the new one.
        queue.unload_all();
    }
    queue.reconsider();
    drop(subscription.finish(&inner, queue));
    Ok(())
}

/// See [`Hub::add_source`](crate::Hub::add_source).
pub(crate) async fn add_source(
    inner: Arc<Inner>,
    subscription: Arc<Subscription>,
    source: Source,
) -> Changed<()> {
    is_there(&inner, &subscription)?;
    let Sources::Streams(mut sources) = subscription.sources() else {
        return Err(CatalogError::Invalid("sources: this one goes by a pattern".into()));
    };
    if sources.iter().any(|known| known.stream == source.stream) {
        return Ok(());
    }
    let found = inner.catalog.read().stream(subscription.project(), &source.stream);
    let mut ops = Vec::new();
    let mut place = None;
    if let Some(stream) = &found {
        let mut at = Place::at(locate(&inner, stream, source.start).await?);
        if subscription.durable {
            // Of a former source there may be pieces left, which would count as done.
            let left =
                scan(&*inner.engine, &place::leftovers(subscription.id(), stream.id)).await?;
            ops.extend(left.into_iter().map(|entry| put(entry.key, None, Condition::Any)));
            at.unwrite();
            at.write(subscription.id(), stream.id, &mut ops);
        }
        place = Some(at);
    }
    sources.push(source);
    let sources = Sources::Streams(sources);
    check_sources(&sources)?;
    replace(&inner, &subscription, &subscription.settings(), &sources, ops).await?;
    *subscription.sources.lock() = Arc::new(sources);
    if let (Some(stream), Some(place)) = (found, place)
        && !attach(&inner, &subscription, &stream, place)
    {
        return Err(CatalogError::NotFound);
    }
    Ok(())
}

/// See [`Hub::remove_source`](crate::Hub::remove_source).
pub(crate) async fn remove_source(
    inner: Arc<Inner>,
    subscription: Arc<Subscription>,
    name: StreamName,
) -> Changed<bool> {
    is_there(&inner, &subscription)?;
    let Sources::Streams(mut sources) = subscription.sources() else {
        return Err(CatalogError::Invalid("sources: this one goes by a pattern".into()));
    };
    let before = sources.len();
    sources.retain(|source| source.stream != name);
    if sources.len() == before {
        return Ok(false);
    }
    let sources = Sources::Streams(sources);
    let settings = subscription.settings();
    // No answer may write a place after its end: a later source would begin there.
    let turn = subscription.turn.lock().await;
    let ops = {
        let mut queue = subscription.queue.lock();
        queue.on_hold = true;
        erased(&subscription, &queue, Some(&name))
    };
    let done = replace(&inner, &subscription, &settings, &sources, ops).await;
    if done.is_ok() {
        *subscription.sources.lock() = Arc::new(sources);
        detach(&inner, &subscription, |stream| stream.name == name);
    }
    let mut queue = subscription.queue.lock();
    queue.on_hold = false;
    subscription.release_deferred(&inner, queue);
    drop(turn);
    done.map(|()| true)
}

/// What removes the places of a subscription, in one stream or all.
pub(super) fn erased(
    subscription: &Subscription,
    queue: &Queue,
    name: Option<&StreamName>,
) -> Vec<Op> {
    let mut ops = Vec::new();
    if subscription.durable {
        let of = |feed: &&Feed| name.is_none_or(|name| feed.stream.name == *name);
        for feed in queue.feeds.iter().filter(of) {
            place::erase(&feed.place, subscription.id(), feed.stream.id, &mut ops);
        }
    }
    ops
}

pub(super) fn ending(subscription: &Subscription) -> Vec<Op> {
    if !subscription.durable {
        return Vec::new();
    }
    let mut ops = erased(subscription, &subscription.queue.lock(), None);
    ops.push(put(record::key(subscription.project(), subscription.name()), None, Condition::Any));
    ops.push(put(record::used_key(subscription.id()), None, Condition::Any));
    ops
}

/// See [`Hub::delete_subscription`](crate::Hub::delete_subscription).
pub(crate) fn delete(inner: &Arc<Inner>, subscription: &Arc<Subscription>) -> Change<()> {
    let subscription = subscription.clone();
    in_turn(inner, |inner| async move {
        if subscription.name().as_str().starts_with(webhook::PREFIX) {
            let reason = "it is the place of a webhook, and goes with it";
            return Err(CatalogError::Invalid(reason.into()));
        }
        end(&inner, &subscription, |_| true).await.map(drop)
    })
}

/// Deletes a subscription, unless `still` no longer holds when its turn has come; says whether it did.
pub(crate) fn delete_if(
    inner: &Arc<Inner>,
    subscription: &Arc<Subscription>,
    still: impl FnOnce(&Subscription) -> bool + Send + 'static,
) -> Change<bool> {
    let subscription = subscription.clone();
    in_turn(inner, |inner| async move { end(&inner, &subscription, still).await })
}

async fn end(
    inner: &Arc<Inner>,
    subscription: &Arc<Subscription>,
    still: impl FnOnce(&Subscription) -> bool + Send,
) -> Changed<bool> {
    is_there(inner, subscription)?;
    if !still(subscription) {
        return Ok(false);
    }
    end_with(inner, subscription, Vec::new()).await.map(|()| true)
}

/// Deletes a subscription in one batch with what `ops` do.
pub(crate) async fn end_with(
    inner: &Arc<Inner>,
    subscription: &Arc<Subscription>,
    mut ops: Vec<Op>,
) -> Changed<()> {
    // No answer may write a place after its deletion.
    let turn = subscription.turn.lock().await;
    ops.extend(ending(subscription));
    subscription.queue.lock().on_hold = true;
    let done = if ops.is_empty() { Ok(()) } else { commit(inner, ops).await };
    match &done {
        Ok(()) => forget(inner, subscription),
        Err(_) => {
            let mut queue = subscription.queue.lock();
            queue.on_hold = false;
            subscription.release_deferred(inner, queue);
        }
    }
    drop(turn);
    done
}

/// Removes a subscription from memory, and ends its consumers.
pub(crate) fn forget(inner: &Arc<Inner>, subscription: &Arc<Subscription>) {
    {
        let mut directory = inner.subscriptions.directory.write();
        // From here on nobody can join it, nor give it another stream.
        subscription.queue.lock().closed = true;
        directory.leave(subscription);
    }
    let mut queue = subscription.queue.lock();
    let streams: Vec<_> = queue.feeds.iter().map(|feed| feed.stream.id).collect();
    for hand in std::mem::take(&mut queue.hands).into_values() {
        hand.owner.close(hand.id, CloseReason::Deleted);
    }
    let deferred = std::mem::take(&mut queue.deferred);
    *queue = Queue::over();
    drop(queue);
    // There is nothing left that they could have been about.
    deferred.into_iter().for_each(|tell| drop(tell.send(Ok(()))));
    for stream in streams {
        inner.subscriptions.bells.unwatch(stream, subscription);
    }
    subscription.seen.notify_waiters();
}

pub(super) fn is_there(inner: &Inner, subscription: &Subscription) -> Changed<()> {
    let directory = inner.subscriptions.directory.read();
    let found = directory.find(subscription.project(), subscription.name().as_str());
    found.filter(|found| found.id() == subscription.id()).map(drop).ok_or(CatalogError::NotFound)
}

fn put(key: Bytes, value: Option<Bytes>, condition: Condition) -> Op {
    Op::Put(Put { key, value, condition })
}

fn check(settings: &SubscriptionSettings) -> Changed<()> {
    check_text("description", &settings.description, MAX_DESCRIPTION_BYTES)?;
    let times = [settings.lease, settings.idle_expiry, settings.max_age];
    if times.into_iter().flatten().any(|time| time.as_millis() == 0) {
        return Err(CatalogError::Invalid("times: at least one millisecond".into()));
    }
    if settings.max_deliveries == Some(0) {
        return Err(CatalogError::Invalid("max_deliveries: at least 1".into()));
    }
    if settings.max_deliveries.is_some() && settings.dead_letter.is_none() {
        let reason = "max_deliveries: only with a stream for dead letters";
        return Err(CatalogError::Invalid(reason.into()));
    }
    Ok(())
}

/// Dead events are copied as they are, which a stream with a say in what it takes would refuse.
fn check_dead_letters(
    inner: &Inner,
    project: &ProjectId,
    settings: &SubscriptionSettings,
) -> Changed<()> {
    let Some(name) = &settings.dead_letter else { return Ok(()) };
    let stream = inner.catalog.read().stream(project, name);
    if stream.is_some_and(|stream| stream.settings.is_choosy()) {
        let reason = "dead_letter: a keyed or ingest stream cannot take dead events";
        return Err(CatalogError::Invalid(reason.into()));
    }
    Ok(())
}

/// Whether a subscription of the project has its dead events copied to this stream.
pub(crate) fn takes_dead_letters(inner: &Inner, project: &ProjectId, stream: &StreamName) -> bool {
    let all = inner.subscriptions.directory.read().of_project(project);
    all.iter().any(|one| one.settings().dead_letter.as_ref() == Some(stream))
}

fn check_sources(sources: &Sources) -> Changed<()> {
    let Sources::Streams(sources) = sources else { return Ok(()) };
    if sources.len() > MAX_SOURCES {
        return Err(CatalogError::TooMany { max: MAX_SOURCES });
    }
    let mut names: Vec<_> = sources.iter().map(|source| &source.stream).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() < sources.len() {
        return Err(CatalogError::Invalid("sources: a stream comes twice".into()));
    }
    Ok(())
}
