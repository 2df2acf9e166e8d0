//! Which events make the next file, and how it comes to be exactly once.
//!
//! Two cursors stand in each ingest stream: `done`, before which everything has landed, and `end`,
//! where the file at hand ends. `end` is set first, durably; then the file is made of the events from
//! `done` to `end` and put; then `done` is set to `end`. A crash in between leaves `end` beyond
//! `done`, and the same file is made again under the same name.
//!
//! Run by `server` as one task for all streams: an idle stream costs a look at its bounds.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use outflow_hub::{
    CatalogError, CloseReason, Hub, Ingest, ReadError, ReadEvent, ReadRequest, ReadSession, Start,
    Stream,
};
use outflow_model::{
    Action, CredentialId, Filter, Grant, IntegrationId, Meta, Offset, StreamId, Timestamp,
};
use prometheus_client::registry::Registry;

use crate::content::Content;
use crate::file;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::place::{Place, PlaceError};

/// Whose the cursors are: nobody's, unless a project makes an integration of this name, which then
/// moves its own.
const OWNER: &str = ".landing";
/// Before which everything has landed.
const DONE: &str = "done";
/// Where the file at hand ends.
const END: &str = "end";
/// After how much silence a read says how far it has come, though there was nothing.
const SILENCE: Duration = Duration::from_secs(1);
/// How many damaged places one file is read past.
const MAX_DAMAGES: usize = 1_000;

/// Why a file did not land this time.
#[derive(Debug, thiserror::Error)]
pub enum LandError {
    /// The places cannot be read or set.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The events cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Reading ended early.
    #[error("reading ended: {0}")]
    Closed(String),
    /// The file could not be put.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A name that the catalog would not take.
    #[error("a name is not one")]
    Name,
}

/// See the module.
#[derive(Debug)]
pub struct Lander {
    hub: Hub,
    place: Arc<dyn Place>,
    options: Options,
    metrics: Metrics,
    grant: Grant,
    owner: IntegrationId,
    /// What is known of each stream since the start.
    streams: HashMap<StreamId, Standing>,
}

/// How far a stream has been looked at.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// Everything before it has landed.
    done: Offset,
    /// Where the file at hand ends, if that is decided.
    end: Option<Offset>,
    /// Everything before it has been counted.
    seen: Offset,
    /// The bytes from `done` to `seen`.
    bytes: u64,
    /// When the event at `done` was taken in.
    first: Option<Timestamp>,
}

impl Standing {
    const fn at(done: Offset) -> Self {
        Self { done, end: None, seen: done, bytes: 0, first: None }
    }

    /// Counts an event; gives the end of the file when this event closes it.
    fn see(&mut self, meta: &Meta, max_bytes: u64) -> Option<Offset> {
        let first = *self.first.get_or_insert(meta.processed);
        if !file::same_hour(first, meta.processed) {
            return Some(meta.offset);
        }
        self.bytes += u64::from(meta.line_len);
        self.seen = meta.offset.next();
        (self.bytes >= max_bytes).then_some(self.seen)
    }
}

impl Lander {
    /// A lander that puts files to `place`. Puts its metrics into `registry`.
    ///
    /// # Errors
    /// [`LandError::Name`], never in practice: the names are fixed.
    pub fn new(
        hub: Hub,
        place: Arc<dyn Place>,
        options: Options,
        registry: &mut Registry,
    ) -> Result<Self, LandError> {
        let grant = Grant {
            credential: CredentialId::new("landing").map_err(|_| LandError::Name)?,
            project: None,
            integration: None,
            actions: Arc::new(BTreeSet::from([Action::Operate])),
            streams: None,
            destinations: None,
        };
        let owner = IntegrationId::new(OWNER).map_err(|_| LandError::Name)?;
        let metrics = Metrics::register(registry);
        Ok(Self { hub, place, options, metrics, grant, owner, streams: HashMap::new() })
    }

    /// Lands until `stopping` is ready; a file that is being put then is put to its end.
    pub async fn run(mut self, stopping: impl Future<Output = ()>) {
        let mut stopping = std::pin::pin!(stopping);
        loop {
            self.pass().await;
            tokio::select! {
                () = &mut stopping => return,
                () = tokio::time::sleep(self.options.pause) => {}
            }
        }
    }

    /// Looks at every ingest stream once, and lands what is due. What fails is tried again by the
    /// next pass.
    pub async fn pass(&mut self) {
        let projects = self.hub.projects();
        let streams = projects.iter().flat_map(|project| self.hub.streams(&project.id));
        let streams = streams.filter(|stream| stream.settings.ingest.is_some());
        let streams: Vec<_> = streams.collect();
        let there: HashSet<_> = streams.iter().map(|stream| stream.id).collect();
        self.streams.retain(|id, _| there.contains(id));
        for stream in streams {
            let Some(ingest) = stream.settings.ingest.clone() else { continue };
            if let Err(error) = self.advance(&stream, &ingest).await {
                self.metrics.retries.inc();
                tracing::warn!(stream = %stream.id, %error, "landing is tried again");
                // What was known may be what is wrong.
                self.streams.remove(&stream.id);
            }
        }
    }

    /// Lands all files of a stream that are due.
    async fn advance(&mut self, stream: &Arc<Stream>, ingest: &Ingest) -> Result<(), LandError> {
        let mut standing = match self.streams.get(&stream.id) {
            Some(standing) => *standing,
            None => self.recall(stream).await?,
        };
        loop {
            let end = match standing.end {
                Some(end) => end,
                None => match self.due(stream, &mut standing).await? {
                    Some(end) => end,
                    None => break,
                },
            };
            self.set(stream, END, end).await?;
            self.land(stream, ingest, standing.done, end).await?;
            self.set(stream, DONE, end).await?;
            standing = Standing::at(end);
        }
        self.streams.insert(stream.id, standing);
        Ok(())
    }

    /// Where the stream stood when the server ended.
    async fn recall(&self, stream: &Stream) -> Result<Standing, LandError> {
        let done = self.hub.cursor(stream, Some(&self.owner), DONE).await?;
        let end = self.hub.cursor(stream, Some(&self.owner), END).await?;
        let done = done.unwrap_or(stream.begins);
        let end = end.filter(|end| *end > done);
        Ok(Standing { end, ..Standing::at(done) })
    }

    async fn set(&self, stream: &Stream, name: &str, at: Offset) -> Result<(), LandError> {
        Ok(self.hub.set_cursor(stream, Some(&self.owner), name, at).await?)
    }

    /// The end of the next file, if it is to be closed now.
    async fn due(
        &self,
        stream: &Arc<Stream>,
        standing: &mut Standing,
    ) -> Result<Option<Offset>, LandError> {
        let next = self.hub.stats(stream).next;
        if standing.seen < next {
            let max_bytes = self.options.max_bytes;
            let mut closed = None;
            self.read(stream, standing.seen, next, |meta, _| {
                closed = standing.see(meta, max_bytes);
                closed.is_none()
            })
            .await?;
            if closed.is_some() {
                return Ok(closed);
            }
            // Events that are gone are passed over.
            standing.seen = next;
        }
        let Some(first) = standing.first else { return Ok(None) };
        let now = self.hub.clock().now();
        let age = i64::try_from(self.options.max_age.as_millis()).unwrap_or(i64::MAX);
        let is_due = now.millis() - first.millis() >= age || !file::same_hour(first, now);
        Ok(is_due.then_some(standing.seen))
    }

    /// Puts the file of the events from `from` to `end`.
    async fn land(
        &self,
        stream: &Arc<Stream>,
        ingest: &Ingest,
        from: Offset,
        end: Offset,
    ) -> Result<(), LandError> {
        let mut content = Content::new(ingest.format);
        let mut first = None;
        self.read(stream, from, end, |meta, line| {
            first.get_or_insert((meta.offset, meta.processed));
            content.push(meta, line);
            true
        })
        .await?;
        let Some((offset, at)) = first else { return Ok(()) };
        let (count, failures) = (content.count(), content.failures());
        let (rows, failed) = content.finish();
        let (project, name) = (&stream.project, &stream.name);
        if !failed.is_empty() {
            self.place.put(file::failed_path(project, name, offset, at), failed).await?;
        }
        if !rows.is_empty() {
            let path = file::path(project, name, ingest.format, offset, at);
            self.place.put(path, rows).await?;
            self.metrics.files.inc();
        }
        self.metrics.events.inc_by(count);
        self.metrics.failed.inc_by(failures);
        tracing::debug!(stream = %stream.id, from = %from, %end, count, failures, "landed a file");
        Ok(())
    }

    /// Gives `take` the events from `from` until `end`, in order, until it says that it has enough.
    async fn read(
        &self,
        stream: &Arc<Stream>,
        from: Offset,
        end: Offset,
        mut take: impl FnMut(&Meta, &[u8]) -> bool,
    ) -> Result<(), LandError> {
        let mut place = from;
        for _ in 0..MAX_DAMAGES {
            let mut session = self.open(stream, place).await?;
            match drain(&mut session, &mut place, end, &mut take).await? {
                Drained::All => return Ok(()),
                // The next session goes on past the damage.
                Drained::Damaged => {}
            }
        }
        Err(LandError::Closed("there is too much damage".to_owned()))
    }

    async fn open(&self, stream: &Arc<Stream>, from: Offset) -> Result<ReadSession, LandError> {
        let request = ReadRequest {
            stream: Arc::clone(stream),
            start: Start::After(Offset::new(from.get().saturating_sub(1))),
            filter: Arc::new(Filter::default()),
            subset: None,
            only_type: None,
            heartbeat: SILENCE,
            peer: "landing".to_owned(),
            slack: true,
        };
        let session = self.hub.open_read(&self.grant, request).await?;
        let started = session.start();
        if started.trimmed || started.damaged.is_some() {
            self.metrics.lost.inc();
            let from = started.from;
            tracing::error!(stream = %stream.id, %from, "events were gone before they had landed");
        }
        Ok(session)
    }
}

/// How a session ended.
enum Drained {
    /// All that was asked for was there, or is gone for good.
    All,
    /// There is damage.
    Damaged,
}

async fn drain(
    session: &mut ReadSession,
    place: &mut Offset,
    end: Offset,
    take: &mut impl FnMut(&Meta, &[u8]) -> bool,
) -> Result<Drained, LandError> {
    loop {
        match session.next().await {
            ReadEvent::Batch(block) => {
                let unreadable =
                    |error: &dyn std::fmt::Display| LandError::Closed(error.to_string());
                let lines = block.lines().map_err(|error| unreadable(&error))?;
                let metas = block.metas().map_err(|error| unreadable(&error))?;
                for (meta, line) in metas.with_lines(lines) {
                    if meta.offset < *place {
                        continue;
                    }
                    if meta.offset >= end {
                        return Ok(Drained::All);
                    }
                    *place = meta.offset.next();
                    if !take(&meta, line) {
                        *place = end;
                        return Ok(Drained::All);
                    }
                }
                if session.considered().next() >= end {
                    return Ok(Drained::All);
                }
            }
            // Offsets have gaps, also at the end.
            ReadEvent::Heartbeat { considered } if considered.next() >= end => {
                return Ok(Drained::All);
            }
            ReadEvent::Heartbeat { .. } => {}
            ReadEvent::Closed(CloseReason::Damaged(_)) => return Ok(Drained::Damaged),
            ReadEvent::Closed(reason) => return Err(LandError::Closed(format!("{reason:?}"))),
        }
    }
}
