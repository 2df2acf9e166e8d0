//! What a keyed stream's readers may see of its project's load stream, and where they begin.
//!
//! Called by faces that show loads. All loads of a project are in one stream, each event with its keyed
//! stream's name; a stream that was deleted and made anew has only those from its first job on.

use std::sync::Arc;

use outflow_model::{Grant, Offset, ProjectId, StreamId};

use super::{Extraction, ExtractionState, Extractions, Job, LOAD_STREAM};
use crate::catalog::change::unavailable;
use crate::open::{self, Reader};
use crate::{CatalogError, Hub, ReadError, ReadRequest, ReadSession, Stream};

/// Where the loads of a keyed stream are in its project's load stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loads {
    /// Where the first of them may begin.
    pub begins: Offset,
    /// Where the newest begins which is whole, or will be: the end of what was sent while its job, or
    /// the first of all, has not begun. One that was called off or failed is none.
    pub newest: Offset,
}

impl Extractions {
    /// Where the loads of a stream may begin, if a job of it is remembered.
    pub(super) fn begins(&self, project: &ProjectId, stream: StreamId) -> Option<Offset> {
        let begins = |job: &Arc<Job>| {
            let job = job.0.lock();
            (job.stream_id == stream).then_some(job.begins)
        };
        self.of(project).iter().find_map(begins)
    }
}

impl Hub {
    /// The stream that a project's extractions send to, once there was one.
    #[must_use]
    pub fn load_stream(&self, project: &ProjectId) -> Option<Arc<Stream>> {
        self.stream_named(project.as_str(), LOAD_STREAM)
    }

    /// Where the loads of a keyed stream are in `loads`, its project's load stream.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub fn loads(&self, loads: &Stream, of: &Stream) -> Result<Loads, CatalogError> {
        // Looked at first: a job that has not begun when it is looked at then begins behind this.
        let end = self.end_of(loads)?;
        let jobs = self.inner().extractions.of(&of.project);
        let own: Vec<Extraction> = jobs
            .iter()
            .map(|job| job.0.lock().clone())
            .filter(|job| job.stream_id == of.id)
            .collect();
        let begins = own.first().map_or(end, |job| job.begins);
        // Jobs are done one after another: what runs is sent before what waits.
        let under_way = own.iter().find(|job| !job.state.is_over());
        let newest =
            under_way.or_else(|| own.iter().rev().find(|job| job.state == ExtractionState::Done));
        Ok(Loads { begins, newest: newest.and_then(|job| job.first).unwrap_or(end) })
    }

    /// Begins a read of a project's load stream for who may read this keyed stream: to be shown its
    /// own [`Loads`] only.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn open_load(
        &self,
        grant: &Grant,
        of: &Stream,
        request: ReadRequest,
    ) -> Result<ReadSession, ReadError> {
        open::open_read(self.inner(), grant, request, Reader::OfLoads(of)).await
    }

    /// Whether the load feed may have sent an event that lies between `after`, a client's place, and
    /// `from`, the first event that is kept. It has not when nothing but the ends of jobs does, which
    /// are no events to clients.
    #[must_use]
    pub fn loads_missed(&self, project: &ProjectId, after: Offset, from: Offset) -> bool {
        let is_end = |job: &Arc<Job>, at| {
            let job = job.0.lock();
            job.state == ExtractionState::Done && job.last == Some(at)
        };
        let jobs = self.inner().extractions.of(project);
        let mut at = after.next();
        // Each job ends once: this is over after as many as there are.
        while at < from && jobs.iter().any(|job| is_end(job, at)) {
            at = at.next();
        }
        at < from
    }

    /// What lies above all that jobs have sent, also where that is not written yet.
    pub(super) fn end_of(&self, loads: &Stream) -> Result<Offset, CatalogError> {
        let order = loads.lane.order.lock();
        let bounds = loads.bounds(&*self.inner().engine).map_err(unavailable)?;
        Ok(order.end(bounds.next))
    }
}
