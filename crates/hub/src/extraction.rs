//! Extraction jobs: the latest states of chosen entities, sent into the project's load stream.
//!
//! A job reads a keyed stream's entities type by type, each after those it depends on, while
//! publishers go on, and appends a `load` event for each, with the time and tick of the version that
//! it read, so that whoever folds both streams by time and tick ends with what is true
//! (reference `aria_itas_amperity.md` 1.5). Started, listed and cancelled by
//! [`Hub`]; `run` does the work, one job of a project at a time.
//!
//! Invariants: how far a job got is stored in the same batch as what it sent, so that after a crash
//! it goes on with nothing sent twice. The load stream is an ordinary one: read again, it gives the
//! same events.

mod loads;
mod record;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outflow_model::{Offset, ProjectId, StreamId, StreamName, Timestamp};
use outflow_store::{Batch, Engine, Op, Retention};
use parking_lot::Mutex;

use crate::catalog::change::{self, unavailable};
use crate::catalog::scan;
use crate::catalog::turn::in_turn;
use crate::hub::Inner;
use crate::{CatalogError, Hub, NewStream, OpenError, Stream, StreamSettings};

pub use loads::Loads;

/// The stream of a project that its extractions send to.
pub const LOAD_STREAM: &str = "feed:load";
/// The type of the events that tell an entity.
pub const LOAD: &str = "load";
/// The type of the event that marks where a load ends.
pub const LOAD_END: &str = "load-end";
/// For how long loads are kept, and the changes of a keyed stream unless it is said otherwise
/// (reference 1.1).
pub const FEED_KEPT: Duration = Duration::from_secs(48 * 3600);
/// How many jobs of a project are remembered; the oldest that are over go first.
const MAX_JOBS: usize = 100;
/// How many jobs of a project may wait.
const MAX_WAITING: usize = 16;

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtractionState {
    /// It waits for its turn.
    Queued,
    /// It is sending.
    Running,
    /// All is sent.
    Done,
    /// It cannot go on; [`Extraction::error`] says why.
    Failed,
    /// It was called off.
    Cancelled,
}

impl ExtractionState {
    /// Whether nothing will happen to it any more.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// An extraction job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extraction {
    /// Its number, unique in its project.
    pub id: u32,
    /// The project.
    pub project: ProjectId,
    /// The keyed stream.
    pub stream: StreamName,
    pub(crate) stream_id: StreamId,
    /// Where the loads of this stream may begin: what stands before in the load stream is of former ones of
    /// its name.
    pub(crate) begins: Offset,
    /// The types it sends, in order.
    pub types: Vec<String>,
    /// How it stands.
    pub state: ExtractionState,
    /// How many of its types are sent whole.
    pub types_done: usize,
    /// The key of the last entity sent of the type at hand.
    pub(crate) after: Option<Bytes>,
    /// How many entities were sent.
    pub entities: u64,
    /// Where its first event is in the load stream.
    pub first: Option<Offset>,
    /// Where its last event so far is.
    pub last: Option<Offset>,
    /// When it was started.
    pub created: Timestamp,
    /// When it was over.
    pub finished: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
}

/// A job with its lock. Whoever changes it queues its record before letting go, so that the stored
/// one is the newest.
#[derive(Debug)]
pub(crate) struct Job(Mutex<Extraction>);

/// The jobs of a project that is about to be deleted, with how they stood.
#[derive(Debug)]
pub(crate) struct Stopped {
    project: ProjectId,
    jobs: Vec<(Arc<Job>, ExtractionState)>,
}

/// All jobs.
#[derive(Debug, Default)]
pub(crate) struct Extractions {
    jobs: Mutex<BTreeMap<ProjectId, BTreeMap<u32, Arc<Job>>>>,
    /// Held by who starts a job, until it is stored.
    starting: tokio::sync::Mutex<()>,
    /// The projects whose jobs are being done by a task.
    busy: Mutex<BTreeSet<ProjectId>>,
}

impl Extractions {
    /// Reads what is stored.
    pub(crate) async fn load(engine: &dyn Engine) -> Result<Self, OpenError> {
        let all = Self::default();
        for entry in scan(engine, record::EXTRACTIONS).await? {
            let one = record::read(&entry.value).map_err(OpenError::Corrupt)?;
            let mut jobs = all.jobs.lock();
            let own = jobs.entry(one.project.clone()).or_default();
            own.insert(one.id, Arc::new(Job(Mutex::new(one))));
        }
        Ok(all)
    }

    /// Goes on with what the last run left.
    pub(crate) fn resume(inner: &Arc<Inner>) {
        let projects: Vec<_> = inner.extractions.jobs.lock().keys().cloned().collect();
        projects.iter().for_each(|project| run::start(inner, project));
    }

    /// Stops a project's jobs, which is about to be deleted: nothing more of them is queued. Gives
    /// what removes their records.
    pub(crate) fn stop_all(&self, project: &ProjectId) -> (Stopped, Vec<Op>) {
        let jobs = self.jobs.lock().get(project).cloned().unwrap_or_default();
        let ops = jobs.keys().map(|&id| record::removal(project, id)).collect();
        let stop = |job: Arc<Job>| {
            let was = std::mem::replace(&mut job.0.lock().state, ExtractionState::Cancelled);
            (job, was)
        };
        (Stopped { project: project.clone(), jobs: jobs.into_values().map(stop).collect() }, ops)
    }

    /// Forgets jobs whose project is deleted.
    pub(crate) fn forget(&self, stopped: &Stopped) {
        self.jobs.lock().remove(&stopped.project);
    }

    /// Goes on with jobs whose project was not deleted after all.
    pub(crate) fn go_on(inner: &Arc<Inner>, stopped: Stopped) {
        for (job, was) in stopped.jobs {
            job.0.lock().state = was;
        }
        run::start(inner, &stopped.project);
    }

    /// The number of the next job, and which one is to be forgotten for it: never the newest whole load of a
    /// stream, which is what its readers begin with.
    fn room(
        &self,
        project: &ProjectId,
        is_there: impl Fn(&Extraction) -> bool,
    ) -> Result<(u32, Option<u32>), CatalogError> {
        let jobs = self.jobs.lock();
        let Some(own) = jobs.get(project) else { return Ok((1, None)) };
        let (mut over, mut oldest, mut newest) = (0, None, BTreeSet::new());
        for (&id, job) in own.iter().rev() {
            let job = job.0.lock();
            let is_needed = job.state == ExtractionState::Done
                && newest.insert(job.stream_id)
                && is_there(&job);
            over += usize::from(job.state.is_over());
            if job.state.is_over() && !is_needed {
                oldest = Some(id);
            }
        }
        if own.len() - over >= MAX_WAITING {
            return Err(CatalogError::TooMany { max: MAX_WAITING });
        }
        let id = own.last_key_value().map_or(1, |(id, _)| id.saturating_add(1));
        Ok((id, oldest.filter(|_| own.len() >= MAX_JOBS)))
    }

    fn of(&self, project: &ProjectId) -> Vec<Arc<Job>> {
        let jobs = self.jobs.lock();
        jobs.get(project).map(|jobs| jobs.values().cloned().collect()).unwrap_or_default()
    }
}

impl Hub {
    /// Starts to send the entities of a keyed stream: the named types and groups with all that they
    /// depend on, or every type when none is named. Durable when this returns; the job begins when
    /// those before it are over.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn start_extraction(
        &self,
        stream: &Stream,
        types: &[String],
        groups: &[String],
    ) -> Result<Extraction, CatalogError> {
        let inner = self.inner();
        let project = &stream.project;
        let declared = stream.settings.entities.as_ref();
        let declared =
            declared.ok_or_else(|| CatalogError::Invalid("the stream is not keyed".into()))?;
        let chosen = declared.closure(types, groups).map_err(|name| {
            CatalogError::Invalid(format!("`{name}` is no entity type or group of the stream"))
        })?;
        let loads = self.ensure_load_stream(project).await?;
        // One start at a time, so that a job is known, and begun, only once it is stored.
        let _turn = inner.extractions.starting.lock().await;
        let is_there = |job: &Extraction| {
            let found = inner.catalog.read().stream(&job.project, &job.stream);
            found.is_some_and(|stream| stream.id == job.stream_id)
        };
        let (id, oldest) = inner.extractions.room(project, is_there)?;
        let begins = match inner.extractions.begins(project, stream.id) {
            Some(begins) => begins,
            None => self.end_of(&loads)?,
        };
        let one = Extraction {
            id,
            project: project.clone(),
            stream: stream.name.clone(),
            stream_id: stream.id,
            begins,
            types: chosen.into_iter().map(|one| one.name.clone()).collect(),
            state: ExtractionState::Queued,
            types_done: 0,
            after: None,
            entities: 0,
            first: None,
            last: None,
            created: inner.clock.now(),
            finished: None,
            error: None,
        };
        let mut ops = vec![record::put(&one)];
        ops.extend(oldest.map(|oldest| record::removal(project, oldest)));
        inner.engine.submit(Batch { ops, ..Batch::default() }).await.map_err(unavailable)?;
        if self.project(project).is_none() {
            // It was deleted meanwhile, with all that was known of it.
            let ops = vec![record::removal(project, id)];
            inner.engine.submit(Batch { ops, ..Batch::default() }).await.map_err(unavailable)?;
            return Err(CatalogError::NotFound);
        }
        {
            let mut jobs = inner.extractions.jobs.lock();
            let own = jobs.entry(project.clone()).or_default();
            oldest.map(|oldest| own.remove(&oldest));
            own.insert(id, Arc::new(Job(Mutex::new(one.clone()))));
        }
        run::start(inner, project);
        Ok(one)
    }

    /// A project's jobs, oldest first.
    #[must_use]
    pub fn extractions(&self, project: &ProjectId) -> Vec<Extraction> {
        self.inner().extractions.of(project).iter().map(|job| job.0.lock().clone()).collect()
    }

    /// Calls a job off; one that is over stays as it is. What it has sent stays in the load stream.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn cancel_extraction(
        &self,
        project: &ProjectId,
        id: u32,
    ) -> Result<Extraction, CatalogError> {
        let inner = self.inner();
        let job = inner.extractions.jobs.lock().get(project).and_then(|own| own.get(&id).cloned());
        let job = job.ok_or(CatalogError::NotFound)?;
        let (one, written) = {
            let mut one = job.0.lock();
            if one.state.is_over() {
                return Ok(one.clone());
            }
            (one.state, one.finished) = (ExtractionState::Cancelled, Some(inner.clock.now()));
            let batch = Batch { ops: vec![record::put(&one)], ..Batch::default() };
            (one.clone(), inner.engine.submit(batch))
        };
        written.await.map_err(unavailable)?;
        Ok(one)
    }

    async fn ensure_load_stream(&self, project: &ProjectId) -> Result<Arc<Stream>, CatalogError> {
        if let Some(stream) = self.load_stream(project) {
            return Ok(stream);
        }
        let name = StreamName::new(LOAD_STREAM).map_err(unavailable)?;
        let settings = StreamSettings {
            retention: Retention { age_ms: FEED_KEPT.as_millis() as u64, max_bytes: None },
            dedup: None,
            description: "what extractions send".into(),
            ..StreamSettings::default()
        };
        let made = in_turn(self.inner(), {
            let project = project.clone();
            |inner| change::create_own_stream(inner, project, NewStream { name, settings })
        });
        match made.await {
            Ok(_) | Err(CatalogError::Exists) => {
                self.load_stream(project).ok_or(CatalogError::NotFound)
            }
            Err(error) => Err(error),
        }
    }
}
