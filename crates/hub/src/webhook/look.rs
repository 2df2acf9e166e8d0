//! Looking at what an endpoint was sent, to send it once more.

use std::sync::Arc;

use outflow_model::Offset;
use outflow_store::ReadError;

use super::{WebhookId, view};
use crate::catalog::change::unavailable;
use crate::hub::Inner;
use crate::subscription::EventView;
use crate::{CatalogError, Stream};

/// The most events that are looked at.
const MAX_EVENTS: usize = 100;

/// See [`Hub::endpoint_events`](crate::Hub::endpoint_events).
pub(super) async fn events(
    inner: &Inner,
    id: &WebhookId,
    first: Offset,
    last: Offset,
) -> Result<(Arc<Stream>, Vec<EventView>), CatalogError> {
    let one = inner.catalog.read().integration(&id.0, &id.1).ok_or(CatalogError::NotFound)?;
    let webhook = one.webhook.as_ref().ok_or(CatalogError::NotFound)?;
    let found = inner.catalog.read().stream(&id.0, &webhook.stream);
    let stream = found.ok_or(CatalogError::NotFound)?;
    let (shown, now) = (view(&one)?, inner.clock.now());
    let bounds = stream.bounds(&*inner.engine).map_err(unavailable)?;
    let (mut at, end) = (first.max(bounds.start), last.next().min(bounds.next));
    let mut events = Vec::new();
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
            let (Ok(lines), Ok(metas)) = (block.lines(), block.metas()) else { continue };
            let mut start = 0;
            for meta in metas.iter() {
                let line_end = start + meta.line_len as usize;
                let line = lines.get(start..line_end).unwrap_or_default();
                let is_within = meta.offset >= at && meta.offset < end;
                if is_within && shown.as_ref().is_none_or(|view| view.passes(&meta, line, now)) {
                    events.push(EventView::new(block.clone(), start, meta));
                }
                if events.len() > MAX_EVENTS {
                    let reason = format!("offsets: at most {MAX_EVENTS} events");
                    return Err(CatalogError::Invalid(reason));
                }
                start = line_end;
            }
        }
        at = read.next.max(at.next());
    }
    Ok((stream, events))
}
