//! Doing the jobs of a project, one after another.
//!
//! A task runs while a project has jobs to do. Each step reads a page of entities, appends a `load`
//! event for each and stores how far the job got, all in one batch, and waits for its commit: so a
//! job holds one page, and publishers come in between.

use std::sync::Arc;
use std::time::Duration;

use outflow_model::draft::{Body, EntityEvent, NewEvent};
use outflow_model::{Draft, ProjectId, StreamName};
use outflow_store::{AppendError, Batch, Durability, Op};

use super::{Extraction, ExtractionState, Job, LOAD, LOAD_END, LOAD_STREAM, record};
use crate::hub::Inner;
use crate::keyed::Page;
use crate::{CatalogError, PublishError, Stream, keyed, publish};

/// How many entities a page may have, and how many bytes of them it is to have, about.
const PAGE_ENTITIES: usize = 1_000;
const PAGE_BYTES: usize = 2 << 20;
/// How many entities the first page of a job has, before their size is known.
const FIRST_PAGE: usize = 32;
/// After how long a step that could not be done is tried again: twice as long each time, up to a
/// limit.
const RETRY: Duration = Duration::from_millis(500);
const MAX_RETRY: Duration = Duration::from_secs(30);

/// Why a step was not done.
enum StepError {
    /// The job cannot go on.
    Fatal(String),
    /// The same step may be done later.
    Retryable(String),
    /// The server is stopping.
    Stopped,
}

impl From<CatalogError> for StepError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Unavailable(reason) => Self::Retryable(reason),
            other => Self::Fatal(other.to_string()),
        }
    }
}

impl From<PublishError> for StepError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Unavailable(reason) => Self::Retryable(reason),
            PublishError::Uncertain(_) => Self::Stopped,
            other => Self::Fatal(other.to_string()),
        }
    }
}

/// Makes a task for a project's jobs, unless it has one.
pub(super) fn start(inner: &Arc<Inner>, project: &ProjectId) {
    if inner.extractions.busy.lock().insert(project.clone()) {
        tokio::spawn(all(inner.clone(), project.clone()));
    }
}

async fn all(inner: Arc<Inner>, project: ProjectId) {
    loop {
        let job = {
            let jobs = inner.extractions.of(&project);
            // Held while the last look is taken: who adds a job later finds no task and makes one.
            let mut busy = inner.extractions.busy.lock();
            let next = jobs.into_iter().find(|job| !job.0.lock().state.is_over());
            if next.is_none() {
                busy.remove(&project);
            }
            next
        };
        let Some(job) = job else {
            // One that came between the list and the look would wait for ever.
            let is_late =
                inner.extractions.of(&project).iter().any(|job| !job.0.lock().state.is_over());
            if is_late {
                start(&inner, &project);
            }
            return;
        };
        if do_one(&inner, &job).await.is_err() {
            inner.extractions.busy.lock().remove(&project);
            return;
        }
    }
}

/// Does a job to its end; an error says that the server is stopping.
async fn do_one(inner: &Arc<Inner>, job: &Job) -> Result<(), ()> {
    let (mut limit, mut wait) = (FIRST_PAGE, RETRY);
    loop {
        let one = job.0.lock().clone();
        if one.state.is_over() {
            return Ok(());
        }
        match step(inner, job, &one, &mut limit).await {
            Ok(()) => wait = RETRY,
            Err(StepError::Stopped) => return Err(()),
            Err(StepError::Retryable(reason)) => {
                tracing::warn!(project = %one.project, job = one.id, reason, "an extraction waits");
                tokio::time::sleep(wait).await;
                wait = (2 * wait).min(MAX_RETRY);
            }
            Err(StepError::Fatal(reason)) => {
                tracing::error!(project = %one.project, job = one.id, reason, "an extraction failed");
                let written = {
                    let mut one = job.0.lock();
                    one.state = ExtractionState::Failed;
                    (one.error, one.finished) = (Some(reason), Some(inner.clock.now()));
                    let batch = Batch { ops: vec![record::put(&one)], ..Batch::default() };
                    inner.engine.submit(batch)
                };
                return match written.await {
                    Err(AppendError::Stopped(_)) => Err(()),
                    // In memory it is over, and those behind it have their turn; if it was not
                    // written it fails again after a restart.
                    Ok(()) | Err(_) => Ok(()),
                };
            }
        }
    }
}

/// Sends a page, or the end.
async fn step(
    inner: &Arc<Inner>,
    job: &Job,
    one: &Extraction,
    limit: &mut usize,
) -> Result<(), StepError> {
    let source = source(inner, one)?;
    let loads = inner
        .catalog
        .read()
        .tenants
        .get(&one.project)
        .and_then(|tenant| tenant.streams.get(LOAD_STREAM).cloned());
    let loads = loads.ok_or_else(|| StepError::Fatal("the load stream was deleted".into()))?;
    let mut draft = Draft::default();
    let mut next = Extraction { state: ExtractionState::Running, ..one.clone() };
    match one.types.get(one.types_done) {
        Some(entity_type) => {
            let after = one.after.as_deref();
            let page = keyed::entity::page(inner, &source, entity_type, after, *limit).await?;
            *limit = next_limit(&page);
            next.entities += page.entities.len() as u64;
            if page.next.is_none() {
                next.types_done += 1;
            }
            render(inner, &one.stream, &page, &mut draft)?;
            next.after = page.next;
        }
        None => {
            (next.state, next.finished) = (ExtractionState::Done, Some(inner.clock.now()));
            mark_end(inner, one, &mut draft)?;
        }
    }
    append(inner, job, &loads, draft, &next).await
}

fn source(inner: &Inner, one: &Extraction) -> Result<Arc<Stream>, StepError> {
    let stream = inner.catalog.read().stream(&one.project, &one.stream);
    let stream = stream.filter(|stream| stream.id == one.stream_id);
    stream.ok_or_else(|| StepError::Fatal("the keyed stream was deleted".into()))
}

/// How many entities of this size make a page.
fn next_limit(page: &Page) -> usize {
    let bytes: usize =
        page.entities.iter().map(|one| one.entity_ref.len() + one.payload.len()).sum();
    match bytes.checked_div(page.entities.len()) {
        None => FIRST_PAGE,
        Some(each) => (PAGE_BYTES / (each + 1)).clamp(1, PAGE_ENTITIES),
    }
}

fn render(
    inner: &Inner,
    stream: &StreamName,
    page: &Page,
    draft: &mut Draft,
) -> Result<(), StepError> {
    let now = inner.clock.now();
    for entity in &page.entities {
        let event = EntityEvent {
            event_type: LOAD,
            at: (entity.at, entity.tick),
            entity_ref: &entity.entity_ref,
            stream,
            payload: &entity.payload,
            now,
        };
        let pushed = draft.push_entity(&event, &*inner.rng);
        pushed.map_err(|error| StepError::Fatal(error.to_string()))?;
    }
    Ok(())
}

/// The event by which faces know that a load is whole.
fn mark_end(inner: &Arc<Inner>, one: &Extraction, draft: &mut Draft) -> Result<(), StepError> {
    let (job, stream, entities) = (one.id, &one.stream, one.entities);
    let body = format!(r#"{{"job":"{job}","stream":"{stream}","entities":{entities}}}"#);
    let event = NewEvent {
        id: None,
        event_type: LOAD_END,
        occurred: None,
        key: None,
        headers: &[],
        body: Body::Json(body.as_bytes()),
    };
    let rules = crate::Hub::of(inner.clone()).rules();
    let pushed = draft.push(&event, &rules, &*inner.rng);
    pushed.map_err(|error| StepError::Fatal(error.to_string()))
}

/// Stores a page's events and the job as `next` says, in one batch.
async fn append(
    inner: &Inner,
    job: &Job,
    loads: &Stream,
    mut draft: Draft,
    next: &Extraction,
) -> Result<(), StepError> {
    let next_state = next.state;
    let _permit = publish::admit(inner, draft.bytes()).await?;
    let (commit, mut trip, before) = loop {
        if let Some(queued) = queue(inner, job, loads, &mut draft, next)? {
            break queued;
        }
        publish::prepare(inner, loads, None, None).await?;
    };
    let Some(commit) = commit else { return Ok(()) };
    let result = commit.await;
    if let Some(trip) = &mut trip {
        trip.end(&result);
    }
    let error = match result {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    let mut one = job.0.lock();
    // It was not sent. What else happened to the job stays.
    let ended = (one.state != next_state).then_some((one.state, one.finished));
    *one = before;
    if let Some((state, finished)) = ended {
        (one.state, one.finished) = (state, finished);
    }
    drop(one);
    match error {
        AppendError::Stopped(_) => Err(StepError::Stopped),
        AppendError::UnknownStream(_) => {
            Err(StepError::Fatal("the load stream was deleted".into()))
        }
        error => Err(StepError::Retryable(error.to_string())),
    }
}

/// A step on its way: its commit, its trip, and the job as it was before.
type Queued = (Option<outflow_store::Commit>, Option<publish::Trip>, Extraction);

/// Queues a step, under the stream's lock and the job's. `None`: the stream must be prepared first.
fn queue(
    inner: &Inner,
    job: &Job,
    loads: &Stream,
    draft: &mut Draft,
    next: &Extraction,
) -> Result<Option<Queued>, StepError> {
    let mut order = loads.lane.order.lock();
    let mut one = job.0.lock();
    if one.state.is_over() {
        // Called off meanwhile: nothing of this step is sent.
        return Ok(Some((None, None, one.clone())));
    }
    let mut next = next.clone();
    let (mut ops, mut trip) = (Vec::with_capacity(2), None);
    if !draft.is_empty() {
        let Some(stamped) = publish::stamp(inner, loads, &mut order, draft, None, None) else {
            return Ok(None);
        };
        let stamped = stamped?;
        if let Some(append) = stamped.append {
            next.first = next.first.or(Some(append.first));
            next.last = Some(append.first.plus(u64::from(append.count.saturating_sub(1))));
            ops.push(Op::Append(append));
        }
        trip = stamped.trip;
    }
    ops.push(record::put(&next));
    let before = std::mem::replace(&mut *one, next);
    let commit = inner.engine.submit(Batch { ops, durability: Durability::Synced, fence: None });
    Ok(Some((Some(commit), trip, before)))
}
