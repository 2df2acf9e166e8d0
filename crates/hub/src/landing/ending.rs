//! The end of an ingest stream: what it holds lands before it is deleted.
//!
//! What comes in is answered before it lands in a file, so a stream that is deleted first refuses
//! what comes, then its rest lands at once, and only then it goes. Called by `admin`, and by
//! `landing`, which says how far it has come.
//!
//! Invariants: while a [`Landed`] is held, its streams take nothing; whoever deletes them holds it
//! until they are gone, also when the one who asked for it has gone away.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use outflow_model::{Offset, ProjectId, StreamName};
use outflow_store::Batch;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::catalog::change::{self, unavailable};
use crate::catalog::turn::{Change, in_turn};
use crate::landing::LandingFailure;
use crate::{CatalogError, Hub, Stream};

/// How a stream's landing stands, as far as the lander has told since the start.
#[derive(Debug, Default)]
pub(crate) struct LandingLane {
    /// Why nothing of it lands just now.
    pub(super) failure: Mutex<Option<LandingFailure>>,
    /// Everything before it has landed.
    landed: watch::Sender<Offset>,
    /// How many wait to delete the stream: while there are any, nothing comes in.
    endings: AtomicUsize,
}

impl LandingLane {
    /// Whether the stream is about to be deleted.
    pub(crate) fn is_ending(&self) -> bool {
        self.endings.load(Ordering::Acquire) > 0
    }
}

/// Ingest streams that have landed and take nothing until this is dropped: what
/// [`Hub::delete_landed_stream`] and [`Hub::delete_landed_project`] ask for.
#[derive(Debug, Default)]
#[must_use = "the streams take events again when this is dropped"]
pub struct Landed {
    streams: Vec<Arc<Stream>>,
    /// Whether what has not landed may go as well.
    forced: bool,
}

impl Landed {
    /// Says that what has not landed may go as well.
    pub fn forced() -> Self {
        Self { streams: Vec::new(), forced: true }
    }

    /// Checks that all of `streams` may go.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] when an ingest stream was made after this was asked for.
    pub(crate) fn check(&self, streams: &[Arc<Stream>]) -> Result<(), CatalogError> {
        let mut ingest = streams.iter().filter(|stream| stream.settings.ingest.is_some());
        let has_landed = |stream: &Arc<Stream>| self.streams.iter().any(|one| one.id == stream.id);
        if self.forced || ingest.all(has_landed) { Ok(()) } else { Err(CatalogError::Conflict) }
    }
}

/// What is done within a change, before it.
pub type First = Pin<Box<dyn Future<Output = Result<(), CatalogError>> + Send>>;

impl Drop for Landed {
    fn drop(&mut self) {
        for stream in &self.streams {
            stream.lane.landing.endings.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Stream {
    /// Whether all that it holds is to land now, whatever its age and size.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.lane.landing.is_ending()
    }
}

impl Hub {
    /// Deletes a stream that has landed, if it is an ingest stream, and is otherwise as
    /// [`Hub::delete_stream`]. It takes nothing until it is gone, whether or not this is awaited.
    ///
    /// # Errors
    /// Those of [`Hub::delete_stream`]; [`CatalogError::Conflict`] when `landed` is of another stream.
    pub fn delete_landed_stream(
        &self,
        project: &ProjectId,
        name: &StreamName,
        landed: Landed,
    ) -> Change<()> {
        let (project, name) = (project.clone(), name.clone());
        in_turn(&self.inner, |inner| async move {
            landed.check(inner.catalog.read().stream(&project, &name).as_slice())?;
            change::delete_stream(inner, project, name).await
        })
    }

    /// Deletes a project of which all ingest streams have landed, and is otherwise as
    /// [`Hub::delete_project`]. They take nothing until they are gone, whether or not this is awaited.
    /// `first` is done when nothing refuses any more, and before anything of the project goes.
    ///
    /// # Errors
    /// Those of [`Hub::delete_project`] and of `first`; [`CatalogError::Conflict`] when an ingest
    /// stream was made since, and then `first` is not done.
    pub fn delete_landed_project(
        &self,
        id: &ProjectId,
        landed: Landed,
        first: First,
    ) -> Change<()> {
        let id = id.clone();
        in_turn(&self.inner, |inner| async move {
            landed.check(&Self::of(inner.clone()).streams(&id))?;
            first.await?;
            change::delete_project(inner, id).await
        })
    }

    /// Notes that ingest streams do land. For the lander.
    pub fn begin_landing(&self) {
        self.inner.lands.store(true, Ordering::Release);
    }

    /// Notes that all events of an ingest stream before `offset` have landed. For the lander.
    pub fn note_landed(&self, stream: &Stream, offset: Offset) {
        stream.lane.landing.landed.send_replace(offset);
    }

    /// Has all that the ingest streams among `streams` hold land, while they refuse what comes, and
    /// waits for it for up to `patience`. They can be deleted as long as the answer is held.
    ///
    /// # Errors
    /// [`CatalogError::NotLanded`]; the streams take events again.
    pub async fn land(
        &self,
        streams: &[Arc<Stream>],
        patience: Duration,
    ) -> Result<Landed, CatalogError> {
        let deadline = Instant::now() + patience;
        let mut all = Landed::default();
        for stream in streams.iter().filter(|stream| stream.settings.ingest.is_some()) {
            // What has its offsets now is queued; what comes later sees that the stream ends.
            let _order = stream.lane.order.lock();
            stream.lane.landing.endings.fetch_add(1, Ordering::AcqRel);
            all.streams.push(Arc::clone(stream));
        }
        if all.streams.is_empty() {
            return Ok(all);
        }
        // Answered when all that was queued before can be read, or has failed.
        self.inner.engine.submit(Batch::default()).await.map_err(unavailable)?;
        for stream in &all.streams {
            let bounds = stream.bounds(&*self.inner.engine).map_err(unavailable)?;
            if bounds.start >= bounds.next {
                continue;
            }
            let lands = self.inner.lands.load(Ordering::Acquire);
            let not_landed = || CatalogError::NotLanded { stream: stream.name.to_string(), lands };
            if !lands {
                return Err(not_landed());
            }
            let mut landed = stream.lane.landing.landed.subscribe();
            let arrived = landed.wait_for(|landed| *landed >= bounds.next);
            if !timeout_at(deadline, arrived).await.is_ok_and(|arrived| arrived.is_ok()) {
                return Err(not_landed());
            }
        }
        Ok(all)
    }
}
