//! Looking at what an endpoint was sent or has refused, to send it once more.
//!
//! Called by [`Hub`](crate::Hub), out of turn: nothing is changed here.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use outflow_model::{Offset, Timestamp};
use outflow_store::ReadError;

use super::change::{Parked, parked_name, subscription};
use super::{WebhookId, recovered, view};
use crate::catalog::change::unavailable;
use crate::hub::Inner;
use crate::subscription::{EventView, headers};
use crate::view::View;
use crate::{CatalogError, Stream, aside};

/// The most events that are looked up by their offsets: as many as go into a message.
pub(super) const MAX_EVENTS: usize = 100;
/// The most parked events that are sent again at once.
const MAX_RECOVERED: usize = 100_000;

/// See [`Hub::look_through`](crate::Hub::look_through).
pub(super) async fn through<B>(
    inner: &Inner,
    stream: &Stream,
    from: Offset,
    end: Offset,
    mut each: impl FnMut(EventView) -> ControlFlow<B>,
) -> Result<Option<B>, CatalogError> {
    let bounds = stream.bounds(&*inner.engine).map_err(unavailable)?;
    let (mut at, end) = (from.max(bounds.start), end.min(bounds.next));
    while at < end {
        let read = match inner.engine.read(stream.id, at, inner.options.read_chunk_bytes).await {
            Ok(read) => read,
            Err(ReadError::Damaged { resume, .. } | ReadError::Trimmed { start: resume }) => {
                at = resume.max(at.next());
                continue;
            }
            Err(error) => return Err(unavailable(error)),
        };
        for block in &read.blocks {
            let Ok(metas) = block.metas() else { continue };
            let mut start = 0;
            for meta in metas.iter() {
                let line_end = start + meta.line_len as usize;
                if meta.offset >= at
                    && meta.offset < end
                    && let ControlFlow::Break(found) =
                        each(EventView::new(block.clone(), start, meta))
                {
                    return Ok(Some(found));
                }
                start = line_end;
            }
        }
        at = read.next.max(at.next());
    }
    Ok(None)
}

/// See [`Hub::stretch_since`](crate::Hub::stretch_since).
pub(super) async fn stretch(
    inner: &Inner,
    stream: &Stream,
    since: Option<Timestamp>,
) -> Result<(Offset, Offset), CatalogError> {
    let bounds = stream.bounds(&*inner.engine).map_err(unavailable)?;
    let found = match since {
        Some(since) => inner.engine.seek(stream.id, since).await.map_err(unavailable)?,
        None => bounds.start,
    };
    Ok((found.max(bounds.start), bounds.next))
}

/// See [`Hub::endpoint_events`](crate::Hub::endpoint_events).
pub(super) async fn events(
    inner: &Inner,
    id: &WebhookId,
    offsets: &[Offset],
) -> Result<(Arc<Stream>, Vec<EventView>), CatalogError> {
    if offsets.len() > MAX_EVENTS {
        return Err(CatalogError::Invalid(format!("offsets: at most {MAX_EVENTS}")));
    }
    let one = inner.catalog.read().integration(&id.0, &id.1).ok_or(CatalogError::NotFound)?;
    let webhook = one.webhook.as_ref().ok_or(CatalogError::NotFound)?;
    let found = inner.catalog.read().stream(&id.0, &webhook.stream);
    let stream = found.ok_or(CatalogError::NotFound)?;
    let (shown, now) = (view(&one)?, inner.clock.now());
    let mut wanted: BTreeSet<Offset> = offsets.iter().copied().collect();
    let mut found = HashMap::with_capacity(wanted.len());
    // What lies between is read as far as it comes along, and not looked for.
    while let Some(first) = wanted.pop_first() {
        let mut last = first;
        while let Some(next) = wanted.first().copied().filter(|next| *next == last.next()) {
            wanted.pop_first();
            last = next;
        }
        let take = |event: EventView| {
            let shows = |view: &Arc<View>| {
                let cost = view.cost(event.line().len());
                aside::in_place(cost, || view.passes(event.meta(), event.line(), now))
            };
            if shown.as_ref().is_none_or(shows) {
                found.insert(event.offset(), event);
            }
            ControlFlow::<()>::Continue(())
        };
        through(inner, &stream, first, last.next(), take).await?;
    }
    let events = offsets.iter().filter_map(|offset| found.remove(offset)).collect();
    Ok((stream, events))
}

/// The events that an endpoint has refused since a time, the earliest first. Others may have dead letters
/// in the stream that they were parked in: only what this one was sent of its own stream counts, and of that
/// what was not sent again since.
pub(super) async fn parked(
    inner: &Inner,
    id: &WebhookId,
    since: Timestamp,
) -> Result<Parked, CatalogError> {
    let one = inner.catalog.read().integration(&id.0, &id.1).ok_or(CatalogError::NotFound)?;
    let webhook = one.webhook.as_ref().ok_or(CatalogError::NotFound)?;
    let place = subscription(inner, id).ok_or(CatalogError::NotFound)?;
    let since = since.max(place.created());
    let found = inner.catalog.read().stream(&id.0, &parked_name(id)?);
    // It is made with the first event that is parked.
    let Some(stream) = found else { return Ok(Parked::default()) };
    let known = recovered::read(inner, id).await?;
    let (from, end) = stretch(inner, &stream, Some(since)).await?;
    let is_own = |event: &EventView| {
        let says = |name, said: &str| event.header(name).is_some_and(|header| header == said);
        says(headers::DEAD_STREAM, webhook.stream.as_str())
            && says(headers::DEAD_SUBSCRIPTION, place.name().as_str())
    };
    let (mut offsets, mut looked_at) = (BTreeSet::new(), (end, end));
    let take = |event: EventView| {
        if event.meta().processed < since {
            return ControlFlow::Continue(());
        }
        looked_at.0 = looked_at.0.min(event.offset());
        if known.contains(event.offset()) || !is_own(&event) {
            return ControlFlow::Continue(());
        }
        if offsets.len() >= MAX_RECOVERED {
            looked_at.1 = event.offset();
            return ControlFlow::Break(event.meta().processed);
        }
        // Which event of the webhook's stream it is a copy of.
        let of = event.header(headers::DEAD_OFFSET).and_then(|offset| offset.parse().ok());
        offsets.extend(of.map(Offset::new));
        ControlFlow::Continue(())
    };
    let rest = through(inner, &stream, from, end, take).await?;
    Ok(Parked { offsets, rest, stretch: looked_at })
}
