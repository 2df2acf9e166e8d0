//! Which events make the next file, and how it comes to be exactly once.
//!
//! A stream's [`LandingPlace`] says that everything before `done` has landed, and which file is at
//! hand: its first event, after which it is called, and its end. The file is noted first, durably; then it is made
//! of the events there are from `done` to its end and put; then `done` is set to its end, and no
//! file is at hand. A crash in between leaves the file at hand, and it is made again under the
//! same name, unless it is there already: then it is whole, and what retention has taken from the
//! stream since is in it.
//!
//! A stream that is about to be deleted lands at once, and whoever deletes it waits. Of one that
//! has never landed the folder is cleared first: what is there was a former stream's of its name,
//! deleted when nobody was there to set its files apart. Others land while folders are cleared, as that
//! may take long.
//!
//! Run by `server` as one task for all streams: an idle stream costs a look at its bounds. Streams
//! take turns file by file, so that one with much to land keeps no other waiting.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use outflow_hub::{
    CatalogError, Hub, Ingest, LandingFailure, LandingFile, LandingPlace, ReadError, Stream,
};
use outflow_model::{Meta, Offset, StreamId, Timestamp};
use prometheus_client::registry::Registry;

use crate::backoff::Backoff;
use crate::clearing::Clearing;
use crate::content::Content;
use crate::file;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::place::{Place, PlaceError};
use crate::reading::Reading;

/// How long the end of the server waits for folders that are being moved. Those that are not done with
/// by then are cleared when the next stream of their name begins.
const PATIENCE: Duration = Duration::from_secs(2);

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

impl LandError {
    /// What tenants may know of it: no names of the server's files.
    fn reason(&self) -> String {
        match self {
            Self::Place(error) => error.error.to_string(),
            Self::Catalog(_) | Self::Read(_) | Self::Closed(_) | Self::Name => self.to_string(),
        }
    }

    /// What the operator may know beyond the error's own words.
    fn detail(&self) -> String {
        match self {
            Self::Place(error) => error.detail(),
            Self::Catalog(_) | Self::Read(_) | Self::Closed(_) | Self::Name => String::new(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Lander {
    hub: Hub,
    place: Arc<dyn Place>,
    options: Options,
    metrics: Metrics,
    reading: Reading,
    clearing: Clearing,
    /// What is known of each stream since the start.
    streams: HashMap<StreamId, Known>,
}

/// What is known of a stream.
#[derive(Debug)]
struct Known {
    stream: Arc<Stream>,
    /// How far it was looked at; `None`: it has to be asked for where it stands.
    standing: Option<Standing>,
    /// When to try again, while it fails.
    backoff: Option<Backoff>,
}

/// How far a stream has been looked at.
#[derive(Debug, Clone, Copy)]
struct Standing {
    /// Everything before it has landed.
    done: Offset,
    /// The file at hand, if it was decided before.
    file: Option<LandingFile>,
    /// Everything before it has been counted.
    seen: Offset,
    /// The bytes from `done` to `seen`.
    bytes: u64,
    /// The first event from `done` on, and when it was taken in.
    first: Option<(Offset, Timestamp)>,
}

impl Standing {
    const fn at(done: Offset) -> Self {
        Self { done, file: None, seen: done, bytes: 0, first: None }
    }

    /// Before which there is nothing left to land.
    const fn landed(&self) -> Offset {
        if self.first.is_none() { self.seen } else { self.done }
    }

    /// Counts an event; gives the file when this event closes it.
    fn see(&mut self, meta: &Meta, max_bytes: u64) -> Option<LandingFile> {
        let (_, at) = *self.first.get_or_insert((meta.offset, meta.processed));
        if !file::same_hour(at, meta.processed) {
            return self.file_to(meta.offset);
        }
        self.bytes += u64::from(meta.line_len);
        self.seen = meta.offset.next();
        if self.bytes >= max_bytes { self.file_to(self.seen) } else { None }
    }

    /// The file of what was counted, which ends at `end`.
    fn file_to(&self, end: Offset) -> Option<LandingFile> {
        self.first.map(|(first, at)| LandingFile { first, at, end })
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
        let metrics = Metrics::register(registry);
        hub.begin_landing();
        let reading = Reading::new(hub.clone())?;
        let clearing = Clearing::new(place.clone());
        Ok(Self { hub, place, options, metrics, reading, clearing, streams: HashMap::new() })
    }

    /// Lands until `stopping` is ready; a round that is under way then is finished.
    pub async fn run(mut self, stopping: impl Future<Output = ()>) {
        let mut stopping = std::pin::pin!(stopping);
        loop {
            let pause = if self.round().await { Duration::ZERO } else { self.options.pause };
            tokio::select! {
                biased;
                () = &mut stopping => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        let cleared = async { while self.clearing.ended().await {} };
        // What is not done by then is left, as said above.
        let _ = tokio::time::timeout(PATIENCE, cleared).await;
    }

    /// Lands all that is due, and waits for folders that are in the way.
    pub async fn pass(&mut self) {
        loop {
            while self.round().await {}
            if !self.clearing.ended().await {
                return;
            }
        }
    }

    /// Looks at every ingest stream once and lands one file of each that is due; says whether there
    /// was any. What fails is tried again by a later round.
    async fn round(&mut self) -> bool {
        let projects = self.hub.projects();
        let streams = projects.iter().flat_map(|project| self.hub.streams(&project.id));
        let streams: HashMap<_, _> = streams
            .filter(|stream| stream.settings.ingest.is_some())
            .map(|stream| (stream.id, stream))
            .collect();
        self.forget(&streams);
        self.clearing.look();
        let mut has_landed = false;
        for stream in streams.into_values() {
            let Some(ingest) = stream.settings.ingest.clone() else { continue };
            let fresh = || Known { stream: stream.clone(), standing: None, backoff: None };
            let known = self.streams.entry(stream.id).or_insert_with(fresh);
            let now = self.hub.clock().now();
            if known.backoff.as_ref().is_some_and(|backoff| !backoff.is_over(now)) {
                continue;
            }
            let standing = known.standing.take();
            match self.advance(&stream, &ingest, standing).await {
                Ok(Some((standing, landed))) => {
                    has_landed |= landed;
                    self.works(&stream, standing);
                }
                // Its folder is being cleared.
                Ok(None) => {}
                // It was deleted meanwhile.
                Err(LandError::Catalog(CatalogError::NotFound)) => {}
                // Where it stood may be what is wrong: it is asked for again.
                Err(error) => self.fails(&stream, &error),
            }
        }
        let failing = self.streams.values().filter(|known| known.backoff.is_some()).count();
        self.metrics.failing.set(i64::try_from(failing).unwrap_or(i64::MAX));
        has_landed
    }

    /// Sets apart the files of streams that are no more, so that the next project or stream of
    /// their name has none but its own.
    fn forget(&mut self, streams: &HashMap<StreamId, Arc<Stream>>) {
        for (_, known) in self.streams.extract_if(|id, _| !streams.contains_key(id)) {
            self.clearing.deleted(&known.stream);
        }
    }

    fn works(&mut self, stream: &Stream, standing: Standing) {
        let Some(known) = self.streams.get_mut(&stream.id) else { return };
        known.standing = Some(standing);
        self.hub.note_landed(stream, standing.landed());
        if known.backoff.take().is_some() {
            self.hub.set_landing_failure(stream, None);
            tracing::info!(stream = %stream.id, "a stream lands again");
        }
    }

    fn fails(&mut self, stream: &Stream, error: &LandError) {
        self.metrics.retries.inc();
        let now = self.hub.clock().now();
        let Some(known) = self.streams.get_mut(&stream.id) else { return };
        let is_news = known.backoff.is_none();
        let backoff = known.backoff.get_or_insert_default();
        backoff.fail(now, self.hub.rng());
        if is_news {
            let detail = error.detail();
            tracing::warn!(stream = %stream.id, %error, detail, "a stream does not land; it is tried again");
        } else {
            tracing::debug!(stream = %stream.id, %error, "a stream still does not land");
        }
        let since = self.hub.landing_failure(stream).map_or(now, |before| before.since);
        let failure = LandingFailure { since, reason: error.reason() };
        self.hub.set_landing_failure(stream, Some(failure));
    }

    /// Lands the next file of a stream if it is due; gives where the stream stands then, and
    /// whether a file landed. `None`: its folder has to be cleared first.
    async fn advance(
        &mut self,
        stream: &Arc<Stream>,
        ingest: &Ingest,
        standing: Option<Standing>,
    ) -> Result<Option<(Standing, bool)>, LandError> {
        let standing = match standing {
            Some(standing) => Some(standing),
            None => self.recall(stream).await?,
        };
        let Some(mut standing) = standing else { return Ok(None) };
        let done = standing.done;
        let (file, is_again) = match standing.file {
            Some(file) => (file, true),
            None => match self.due(stream, &mut standing).await? {
                (Some(file), _) => {
                    let place = LandingPlace { done, file: Some(file) };
                    self.hub.set_landing_place(stream, &place).await?;
                    (file, false)
                }
                // There is nothing else: no file says that they were passed.
                (None, lost) if lost > 0 && standing.first.is_none() => {
                    self.pass_over(stream, standing.seen, lost).await?;
                    return Ok(Some((Standing::at(standing.seen), false)));
                }
                (None, _) => return Ok(Some((standing, false))),
            },
        };
        let lost = self.land(stream, ingest, done, file, is_again).await?;
        self.pass_over(stream, file.end, lost).await?;
        Ok(Some((Standing::at(file.end), true)))
    }

    /// Moves the place of a stream to `done`. Only now is what was lost before it counted: whatever
    /// fails until then reads it again.
    async fn pass_over(&self, stream: &Stream, done: Offset, lost: u64) -> Result<(), LandError> {
        self.hub.set_landing_place(stream, &LandingPlace { done, file: None }).await?;
        if lost > 0 {
            self.metrics.lost.inc_by(lost);
            tracing::error!(stream = %stream.id, %done, lost, "events were gone before they had landed");
        }
        Ok(())
    }

    /// Where the stream stood when the server ended; `None`: it has to begin, in a folder that has to be
    /// cleared first.
    async fn recall(&mut self, stream: &Stream) -> Result<Option<Standing>, LandError> {
        Ok(match self.hub.landing_place(stream).await? {
            Some(place) => Some(Standing { file: place.file, ..Standing::at(place.done) }),
            None => self.clearing.is_clear(stream)?.then(|| Standing::at(stream.begins)),
        })
    }

    /// The next file, if it is to be closed now, and how many events were gone of those it looked at.
    async fn due(
        &self,
        stream: &Arc<Stream>,
        standing: &mut Standing,
    ) -> Result<(Option<LandingFile>, u64), LandError> {
        let mut lost = 0;
        let next = self.hub.stats(stream).next;
        if standing.seen < next {
            let max_bytes = self.options.max_bytes;
            let mut closed = None;
            let from = standing.seen;
            lost = self
                .reading
                .read(stream, from, next, |meta, _| {
                    closed = standing.see(meta, max_bytes);
                    closed.is_none()
                })
                .await?;
            if closed.is_some() {
                return Ok((closed, lost));
            }
            // Events that are gone are passed over.
            standing.seen = next;
        }
        let Some((_, at)) = standing.first else { return Ok((None, lost)) };
        let now = self.hub.clock().now();
        let age = i64::try_from(self.options.max_age.as_millis()).unwrap_or(i64::MAX);
        let is_old = now.millis() - at.millis() >= age || !file::same_hour(at, now);
        let is_due = is_old || stream.is_ending();
        Ok((if is_due { standing.file_to(standing.seen) } else { None }, lost))
    }

    /// Puts the file of the events from `from` on; `is_again` when it may be there. Says how many events
    /// were gone that are in no file.
    async fn land(
        &self,
        stream: &Arc<Stream>,
        ingest: &Ingest,
        from: Offset,
        file: LandingFile,
        is_again: bool,
    ) -> Result<u64, LandError> {
        let mut content = Content::new(ingest.format);
        let mut lost = self
            .reading
            .read(stream, from, file.end, |meta, line| {
                content.push(meta, line);
                true
            })
            .await?;
        let (count, failures) = (content.count(), content.failures());
        let (rows, failed) = content.finish();
        let (project, name) = (&stream.project, &stream.name);
        let path = file::failed_path(project, name, file.first, file.at);
        self.put(path, failed, is_again).await?;
        let path = file::path(project, name, ingest.format, file.first, file.at);
        if lost > 0 && is_again && self.place.has(path.clone()).await? {
            // They were taken from the stream after it was put.
            lost = 0;
        }
        if self.put(path, rows, is_again).await? {
            self.metrics.files.inc();
        }
        self.metrics.events.inc_by(count);
        self.metrics.failed.inc_by(failures);
        tracing::debug!(stream = %stream.id, %from, end = %file.end, count, failures, "landed a file");
        Ok(lost)
    }

    /// Puts a file unless it is empty or there already; says whether it did.
    async fn put(&self, path: String, bytes: Vec<u8>, is_again: bool) -> Result<bool, LandError> {
        if bytes.is_empty() || (is_again && self.place.has(path.clone()).await?) {
            return Ok(false);
        }
        self.place.put(path, bytes).await?;
        Ok(true)
    }
}
