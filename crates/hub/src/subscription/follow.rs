//! Following streams: they come, change and go, and subscriptions with them.
//!
//! Called by the catalog's changes of streams and projects, and by `change` for single sources.

use std::sync::Arc;

use outflow_model::ProjectId;
use outflow_store::Op;

use super::Subscription;
use super::change::{ending, erased, forget};
use super::place::Place;
use crate::Stream;
use crate::hub::Inner;

/// Adds a feed to a subscription in use; `false`: it is no more.
pub(super) fn attach(
    inner: &Arc<Inner>,
    subscription: &Arc<Subscription>,
    stream: &Arc<Stream>,
    place: Place,
) -> bool {
    let mut directory = inner.subscriptions.directory.write();
    let mut queue = subscription.queue.lock();
    if queue.closed {
        return false;
    }
    subscription.take_up(&mut queue, stream, place);
    directory.attach(stream.id, subscription);
    drop(directory);
    if queue.is_watched {
        inner.subscriptions.bells.watch(stream.id, subscription);
    }
    drop(subscription.finish(inner, queue));
    true
}

/// Removes feeds.
pub(super) fn detach(
    inner: &Arc<Inner>,
    subscription: &Arc<Subscription>,
    which: impl Fn(&Stream) -> bool,
) {
    let mut queue = subscription.queue.lock();
    let keys: Vec<u32> =
        queue.feeds.iter().filter(|feed| which(&feed.stream)).map(|feed| feed.key).collect();
    let feeds: Vec<_> = keys.into_iter().filter_map(|key| queue.detach(key)).collect();
    drop(subscription.finish(inner, queue));
    for feed in feeds {
        inner.subscriptions.bells.unwatch(feed.stream.id, subscription);
        inner.subscriptions.directory.write().detach(feed.stream.id, subscription);
    }
}

/// A stream was made: those who mean it take it up at its beginning.
pub(crate) fn stream_made(inner: &Arc<Inner>, stream: &Arc<Stream>) {
    let all = inner.subscriptions.directory.read().of_project(&stream.project);
    for subscription in all.iter().filter(|one| one.shared_sources().mean(&stream.name)) {
        attach(inner, subscription, stream, Place::at(stream.begins));
    }
}

/// A stream's settings were changed: those who have it go on with the new.
pub(crate) fn stream_changed(inner: &Inner, stream: &Arc<Stream>) {
    for subscription in inner.subscriptions.directory.read().of_stream(stream.id) {
        let mut queue = subscription.queue.lock();
        for feed in queue.feeds.iter_mut().filter(|feed| feed.stream.id == stream.id) {
            feed.stream = stream.clone();
        }
    }
}

/// What is to be stored with the deletion of a stream.
pub(crate) fn stream_ending(inner: &Inner, stream: &Stream) -> Vec<Op> {
    let subscriptions = inner.subscriptions.directory.read().of_stream(stream.id);
    let of = |one: &Arc<Subscription>| erased(one, &one.queue.lock(), Some(&stream.name));
    subscriptions.iter().flat_map(of).collect()
}

/// A stream was deleted: its events are no more.
pub(crate) fn stream_ended(inner: &Arc<Inner>, stream: &Stream) {
    let subscriptions = inner.subscriptions.directory.read().of_stream(stream.id);
    for subscription in subscriptions {
        detach(inner, &subscription, |other| other.id == stream.id);
    }
}

/// What is to be stored with the deletion of a project's subscriptions.
pub(crate) fn project_ending(inner: &Inner, project: &ProjectId) -> Vec<Op> {
    let all = inner.subscriptions.directory.read().of_project(project);
    all.iter().flat_map(|subscription| ending(subscription)).collect()
}

/// A project was deleted, and its subscriptions with it.
pub(crate) fn project_ended(inner: &Arc<Inner>, project: &ProjectId) {
    let all = inner.subscriptions.directory.read().of_project(project);
    all.iter().for_each(|subscription| forget(inner, subscription));
}
