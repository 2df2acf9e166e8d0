//! Moving places back: what was done is to be done again.
//!
//! Called by the webhooks' changes, in turn with all changes of the catalog. A place is replaced as a
//! whole, in one commit, and the feed with it: what is loaded of the old one is let go of.

use std::collections::BTreeSet;
use std::sync::Arc;

use outflow_model::{Offset, StreamName};

use super::Subscription;
use super::change::{erased, is_there, locate};
use super::follow::{attach, detach};
use super::place::Place;
use crate::catalog::change::{commit, unavailable};
use crate::hub::Inner;
use crate::{CatalogError, Start};

type Changed<T> = Result<T, CatalogError>;

/// What becomes of events that are not done where a place is moved ahead of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undone {
    /// They are handed out, and what is done between them stays so.
    Kept,
    /// They are not handed out.
    Skipped,
}

/// Moves the place of a subscription of named streams to `start` in all of them: what is there is
/// handed out again. What consumers hold is theirs no more; their answers to it change nothing.
pub(crate) async fn rewind(
    inner: &Arc<Inner>,
    subscription: &Arc<Subscription>,
    start: Start,
    undone: Undone,
) -> Changed<()> {
    is_there(inner, subscription)?;
    let mut places = Vec::new();
    for stream in subscription.streams() {
        let floor = locate(inner, &stream, start).await?;
        places.push((stream, Place::at(floor)));
    }
    // No answer may write the old place over the new one.
    let turn = subscription.turn.lock().await;
    let mut ops = {
        let mut queue = subscription.queue.lock();
        queue.on_hold = true;
        if undone == Undone::Kept {
            for (stream, place) in &mut places {
                let feed = queue.feeds.iter().find(|feed| feed.stream.id == stream.id);
                if let Some(feed) = feed {
                    *place = feed.place.back_to(place.floor());
                }
            }
        }
        erased(subscription, &queue, None)
    };
    for (stream, place) in &mut places {
        place.unwrite();
        place.write(subscription.id(), stream.id, &mut ops);
    }
    let done = if subscription.durable { commit(inner, ops).await } else { Ok(()) };
    if done.is_ok() {
        for (stream, place) in places {
            detach(inner, subscription, |other| other.id == stream.id);
            attach(inner, subscription, &stream, place);
        }
    }
    let mut queue = subscription.queue.lock();
    queue.on_hold = false;
    subscription.release_deferred(inner, queue);
    drop(turn);
    done
}

/// Makes events of a stream not done that were done: they are handed out again, in their order. Says
/// how many; those that retention has taken are not among them. What consumers hold of the stream is
/// theirs no more.
pub(crate) async fn reopen(
    inner: &Arc<Inner>,
    subscription: &Arc<Subscription>,
    name: &StreamName,
    offsets: &BTreeSet<Offset>,
) -> Changed<u64> {
    is_there(inner, subscription)?;
    // No answer may write the old place over the new one.
    let turn = subscription.turn.lock().await;
    let (mut ops, mut count) = (Vec::new(), 0);
    let found = {
        let mut queue = subscription.queue.lock();
        queue.on_hold = true;
        let feed = queue.feeds.iter().find(|feed| feed.stream.name == *name);
        feed.map(|feed| (feed.stream.clone(), feed.place.clone()))
    };
    let found = found.map(|(stream, place)| {
        let bounds = stream.bounds(&*inner.engine).map_err(unavailable);
        bounds.map(|bounds| (stream, place, bounds.start..bounds.next))
    });
    let done = match found.unwrap_or(Err(CatalogError::NotFound)) {
        Ok((stream, mut place, there)) => {
            for &offset in offsets.iter().filter(|offset| there.contains(offset)) {
                if place.is_done(offset) {
                    place.reopen(offset);
                    count += 1;
                }
            }
            place.write(subscription.id(), stream.id, &mut ops);
            let is_stored = !subscription.durable || ops.is_empty();
            let done = if is_stored { Ok(()) } else { commit(inner, ops).await };
            if done.is_ok() {
                detach(inner, subscription, |other| other.id == stream.id);
                attach(inner, subscription, &stream, place);
            }
            done
        }
        Err(error) => Err(error),
    };
    let mut queue = subscription.queue.lock();
    queue.on_hold = false;
    subscription.release_deferred(inner, queue);
    drop(turn);
    done.map(|()| count)
}
