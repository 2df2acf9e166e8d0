//! Making a stream ready to give offsets out: where it ends, when its last event was taken, the ids
//! of the last while, and how far its senders have come.
//!
//! Called by [`super`] and by whoever queues batches of its own, before the stream's lock is taken.

use outflow_model::{Offset, Timestamp};
use outflow_store::ReadError;

use crate::dedup::senders::{self, Number, Senders};
use crate::hub::Inner;
use crate::keyed::publish::KeyedDraft;
use crate::{Dedup, PublishError, Stream};

/// Takes the stream's end from the engine, and the ids of the last while when copies are to be
/// recognised.
pub(crate) async fn prepare(
    inner: &Inner,
    stream: &Stream,
    dedup: Option<Dedup>,
    keyed: Option<&KeyedDraft>,
) -> Result<(), PublishError> {
    let unavailable = |error: ReadError| match error {
        // Deleted since it was looked up: trying again is of no use.
        ReadError::UnknownStream(_) => PublishError::NotFound,
        error => PublishError::Unavailable(error.to_string()),
    };
    if let Some(keyed) = keyed {
        keyed.ticks.prepare(inner, &stream.project).await?;
    }
    let _turn = stream.lane.loading.lock().await;
    prime(inner, stream).await.map_err(unavailable)?;
    let loaded = stream.lane.order.lock().window.loaded;
    if let Some(dedup) = dedup.filter(|_| !loaded) {
        let logged = recent_ids(inner, stream, dedup).await.map_err(unavailable)?;
        load_senders(inner, stream).await?;
        stream.lane.order.lock().window.load(&logged);
    }
    Ok(())
}

/// Reads how far the senders have come, where copies are to be recognised, so that it can be stored
/// before the events that tell of it are trimmed.
pub(crate) async fn prepare_senders(inner: &Inner, stream: &Stream) -> Result<(), PublishError> {
    if stream.settings.dedup.is_none() || stream.lane.order.lock().window.senders.is_loaded {
        return Ok(());
    }
    let unavailable = |error: ReadError| PublishError::Unavailable(error.to_string());
    let _turn = stream.lane.loading.lock().await;
    prime(inner, stream).await.map_err(unavailable)?;
    load_senders(inner, stream).await
}

/// Takes the stream's end from the engine.
async fn prime(inner: &Inner, stream: &Stream) -> Result<(), ReadError> {
    if stream.lane.order.lock().primed {
        return Ok(());
    }
    let bounds = stream.bounds(&*inner.engine)?;
    let last = last_processed(inner, stream, bounds.start, bounds.next).await?;
    let mut order = stream.lane.order.lock();
    order.next = order.next.max(bounds.next);
    order.last = order.last.max(last);
    order.primed = true;
    Ok(())
}

async fn load_senders(inner: &Inner, stream: &Stream) -> Result<(), PublishError> {
    if !stream.lane.order.lock().window.senders.is_loaded {
        let senders = stored_senders(inner, stream).await?;
        stream.lane.order.lock().window.senders = senders;
    }
    Ok(())
}

/// When the last event that is stored was taken.
pub(crate) async fn last_taken(inner: &Inner, stream: &Stream) -> Result<Timestamp, ReadError> {
    let bounds = stream.bounds(&*inner.engine)?;
    last_processed(inner, stream, bounds.start, bounds.next).await
}

/// When the last event was taken, so that time goes on from there.
async fn last_processed(
    inner: &Inner,
    stream: &Stream,
    start: Offset,
    next: Offset,
) -> Result<Timestamp, ReadError> {
    if next <= start {
        return Ok(Timestamp::default());
    }
    match inner.engine.read(stream.id, Offset::new(next.get() - 1), 1).await {
        Ok(read) => Ok(read.blocks.last().map_or(Timestamp::default(), |block| block.last_at)),
        // Publishing goes on behind damage and retention.
        Err(ReadError::Damaged { .. } | ReadError::Trimmed { .. }) => Ok(Timestamp::default()),
        Err(error) => Err(error),
    }
}

/// The ids of the window, read from the log. Damaged events are passed over.
async fn recent_ids(
    inner: &Inner,
    stream: &Stream,
    dedup: Dedup,
) -> Result<Vec<(u128, Offset, Timestamp)>, ReadError> {
    let window = i64::try_from(dedup.window_ms).unwrap_or(i64::MAX);
    let since = Timestamp::from_millis(inner.clock.now().millis().saturating_sub(window));
    let end = inner.engine.bounds(stream.id)?.next;
    let max = u64::from(dedup.max_ids.clamp(1, crate::dedup::MAX_IDS));
    let newest = Offset::new(end.get().saturating_sub(max));
    let mut from = inner.engine.seek(stream.id, since).await?.max(newest);
    let mut ids = Vec::new();
    while from < end {
        let read = match inner.engine.read(stream.id, from, inner.options.read_chunk_bytes).await {
            Ok(read) => read,
            Err(ReadError::Trimmed { start: resume } | ReadError::Damaged { resume, .. })
                if resume > from =>
            {
                from = resume;
                continue;
            }
            Err(error) => return Err(error),
        };
        for block in &read.blocks {
            let Ok(metas) = block.metas() else { continue };
            let recent = metas.iter().filter(|meta| meta.offset >= from);
            ids.extend(recent.map(|meta| (meta.identity(), meta.offset, meta.processed)));
        }
        if read.next <= from {
            break;
        }
        from = read.next;
    }
    Ok(ids)
}

/// How far the senders have come: what was stored of that, and what the log tells since.
async fn stored_senders(inner: &Inner, stream: &Stream) -> Result<Senders, PublishError> {
    let unavailable = |error: &dyn ToString| PublishError::Unavailable(error.to_string());
    let stored = inner.engine.get(&senders::key(stream.id)).await;
    let stored = stored.map_err(|error| unavailable(&error))?;
    let mut found = Senders::restore(stored.as_ref().map(|entry| &*entry.value));
    let bounds = stream.bounds(&*inner.engine).map_err(|error| unavailable(&error))?;
    let from = if stored.is_some() { found.stored() } else { bounds.start };
    let end = bounds.next.min(from.plus(senders::SPAN));
    // What was trimmed is told by what was stored, but for what went by its age.
    let mut at = from.max(bounds.start);
    if at > from {
        found.interrupt();
    }
    while at < end {
        let read = match inner.engine.read(stream.id, at, inner.options.read_chunk_bytes).await {
            Ok(read) => read,
            Err(ReadError::Trimmed { start: resume } | ReadError::Damaged { resume, .. })
                if resume > at =>
            {
                found.interrupt();
                at = resume;
                continue;
            }
            Err(error) => return Err(unavailable(&error)),
        };
        for block in &read.blocks {
            let (Ok(metas), Ok(lines)) = (block.metas(), block.lines()) else {
                found.interrupt();
                continue;
            };
            let mut start = 0;
            for meta in metas.iter() {
                let line = lines.get(start..).unwrap_or_default();
                start += meta.line_len as usize;
                if meta.offset < at {
                    continue;
                }
                if meta.offset > at {
                    // A batch was refused whose offsets were given out.
                    found.interrupt();
                }
                at = meta.offset.next();
                if let Some(number) = Number::of(&meta, line) {
                    found.send(number, meta.offset);
                }
            }
        }
        if read.next <= at && read.blocks.is_empty() {
            break;
        }
        at = at.max(read.next);
    }
    found.loaded(from);
    Ok(found)
}
