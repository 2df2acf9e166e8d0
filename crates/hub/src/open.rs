//! Opening a read: who may, what it sees, where it begins, whether there is room.
//!
//! Called by [`Hub::open_read`](crate::Hub::open_read).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use outflow_model::{Action, Grant, Offset};
use outflow_store::ReadError as EngineError;

use crate::drain::{Member, Refused, Signal};
use crate::hub::{Denied, Inner, reach};
use crate::limits::{Claim, Slot};
use crate::session::Opening;
use crate::view::{Entitlement, View};
use crate::{
    CloseReason, Integration, ReadError, ReadRequest, ReadSession, Start, Started, Stream,
};

impl From<Denied> for ReadError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotFound => Self::NotFound,
            Denied::Forbidden => Self::Forbidden,
        }
    }
}

/// Who a read is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reader<'a> {
    /// Somebody outside, who counts against the limits of readers.
    Client,
    /// The same, who reads of the project's loads those of this keyed stream: the right to that is enough.
    OfLoads(&'a Stream),
    /// The server itself.
    Server,
}

/// See [`Hub::open_read`](crate::Hub::open_read).
pub(crate) async fn open_read(
    inner: &Arc<Inner>,
    grant: &Grant,
    request: ReadRequest,
    reader: Reader<'_>,
) -> Result<ReadSession, ReadError> {
    let ReadRequest { stream, start, filter, subset, only_type, heartbeat, peer, slack } = request;
    let complies = only_type.is_some_and(|only| only.eq_ignore_ascii_case("COMPLIANCE"));
    let action = if complies { Action::Compliance } else { Action::Read };
    reach(grant, action, if let Reader::OfLoads(of) = reader { of } else { &stream })?;
    let is_kept = grant.destinations.is_some() || grant.integration.is_some();
    if is_kept && inner.temporary.is_of_another(grant, &stream.project, stream.name.as_str()) {
        return Err(ReadError::Forbidden);
    }
    if inner.registry.is_draining() {
        return Err(ReadError::ShuttingDown);
    }
    let integration = integration(inner, grant)?;
    let entitlement = Entitlement::of(grant, integration.as_deref(), only_type);
    entitlement.check(&filter)?;
    let slot = match reader {
        Reader::Server => None,
        Reader::Client | Reader::OfLoads(_) => {
            let slot = claim(inner, &stream.project, integration.as_deref(), slack);
            Some(slot.inspect_err(|error| {
                inner.metrics.reads_refused.inc();
                tracing::debug!(stream = %stream.id, %peer, %error, "refused a read");
            })?)
        }
    };
    let started = locate(inner, &stream, start).await?;
    let signal = Arc::new(Signal::default());
    let member = Member {
        credential: grant.credential.clone(),
        generation: grant.generation,
        expires: grant.expires,
        project: Some(stream.project.clone()),
        integration: grant.integration.clone(),
        stream: Some(stream.id),
        signal: signal.clone(),
    };
    let id = inner.registry.enter(member).map_err(|refused| match refused {
        Refused::Draining => ReadError::ShuttingDown,
        Refused::Revoked => ReadError::Forbidden,
    })?;
    // What was deleted between the look-up and the entry has not told this session.
    let is_gone = grant.integration.is_some() && self::integration(inner, grant).is_err();
    if is_gone || stream.lane.deleted.load(Ordering::Acquire) {
        signal.close(CloseReason::Deleted);
    }
    inner.metrics.reads_opened.inc();
    if started.trimmed {
        inner.metrics.reads_trimmed.inc();
        tracing::info!(stream = %stream.id, session = id, from = %started.from, %peer, "resumed before what is retained");
    }
    let view = View::new(filter, subset, &entitlement, only_type);
    let from_earliest = start == Start::Earliest;
    let inner = inner.clone();
    let known_damage = stream.lane.damaged.load(Ordering::Relaxed);
    let mut session = ReadSession::new(Opening {
        inner,
        stream,
        view,
        started,
        from_earliest,
        heartbeat,
        id,
        signal,
        slot,
    });
    if known_damage {
        session.prime().await;
    }
    Ok(session)
}

/// The integration of a grant; one that has been deleted allows nothing.
fn integration(inner: &Inner, grant: &Grant) -> Result<Option<Arc<Integration>>, ReadError> {
    let (Some(project), Some(id)) = (&grant.project, &grant.integration) else { return Ok(None) };
    let found = inner.catalog.read().integration(project, id);
    found.map(Some).ok_or(ReadError::Forbidden)
}

fn claim(
    inner: &Inner,
    project: &outflow_model::ProjectId,
    integration: Option<&Integration>,
    slack: bool,
) -> Result<Slot, ReadError> {
    let limits = inner.catalog.read().tenants.get(project).map(|tenant| tenant.project.limits);
    let limits = limits.ok_or(ReadError::NotFound)?;
    inner.slots.take(Claim {
        project: project.clone(),
        project_max: limits.connections,
        integration: integration.map(|one| (one.id.clone(), one.max_connections)),
        slack: u32::from(slack),
        all_max: inner.options.max_sessions,
    })
}

/// Where a read begins.
async fn locate(inner: &Inner, stream: &Stream, start: Start) -> Result<Started, ReadError> {
    let failed = |error: EngineError| match error {
        EngineError::UnknownStream(_) => ReadError::NotFound,
        EngineError::Trimmed { .. } | EngineError::Damaged { .. } | EngineError::Io(_) => {
            ReadError::Unavailable(error.to_string())
        }
    };
    let bounds = stream.bounds(&*inner.engine).map_err(failed)?;
    let at = |from| Started { from, trimmed: false, damaged: None };
    Ok(match start {
        Start::Earliest => at(bounds.start),
        Start::Latest => at(bounds.next),
        Start::At(time) => match inner.engine.seek(stream.id, time).await {
            Ok(from) => at(from.clamp(bounds.start, bounds.next.max(from))),
            Err(error) => return Err(failed(error)),
        },
        Start::After(place) => {
            let from = place.next();
            // A stream that still begins with its first event has lost nothing.
            let trimmed = from < bounds.start && bounds.start > Offset::FIRST;
            Started { from: from.clamp(bounds.start, bounds.next), trimmed, damaged: None }
        }
    })
}
