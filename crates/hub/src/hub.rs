//! The one API that every face calls.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use outflow_model::draft::Rules;
use outflow_model::{
    Action, Clock, CredentialId, Draft, Grant, IntegrationId, ProjectId, Rng, StreamName,
};
use outflow_store::{Bounds, Engine, Health};
use parking_lot::RwLock;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use crate::catalog::turn::{Change, in_turn, in_turn_then};
use crate::catalog::{Catalog, change};
use crate::destination::{ClientIds, Owners, lists, reaches_stream};
use crate::error::{OpenError, PublishError, ReadError};
use crate::extraction::{Extractions, LOAD_STREAM};
use crate::integration::is_reserved;
use crate::keyed::room::Room;
use crate::keyed::{self, AllTicks};
use crate::landing::LandedFiles;
use crate::limits::Slots;
use crate::metrics::Metrics;
use crate::open::Reader;
use crate::schedule::Schedules;
use crate::subscription::clockwork::Clockwork;
use crate::subscription::directory::{Directory, Subscriptions};
use crate::subscription::metrics::Largest;
use crate::subscription::prepared::Prepared;
use crate::subscription::wake::{Bells, Observer};
use crate::tail::Tails;
use crate::webhook::{self, Webhooks};
use crate::{
    CloseReason, Integration, NewStream, Options, Project, ReadRequest, ReadSession, Receipt,
    Stream, StreamSettings, StreamStats, drain, open, publish, subscriber,
};

/// The one API that every face calls. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Hub {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones share.
pub(crate) struct Inner {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) options: Options,
    pub(crate) catalog: RwLock<Catalog>,
    /// Held by the one change of the catalog under way, across its commit.
    pub(crate) changes: tokio::sync::Mutex<()>,
    /// The bytes that may be on their way to the disk.
    pub(crate) inflight: Arc<Semaphore>,
    /// What each project may have of them by publishing.
    pub(crate) shares: publish::Shares,
    /// The bytes that transactions may be reading for their commits: as many again.
    pub(crate) reading: Arc<Semaphore>,
    /// Who may look at events aside.
    pub(crate) looks: Arc<crate::aside::Turns>,
    pub(crate) tails: Arc<Tails>,
    pub(crate) registry: drain::Registry,
    pub(crate) slots: Arc<Slots>,
    pub(crate) ticks: AllTicks,
    pub(crate) entity_room: Room,
    pub(crate) extractions: Extractions,
    pub(crate) clients: Arc<ClientIds>,
    pub(crate) temporary: Owners,
    pub(crate) subscribers: subscriber::Known,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) schedules: Schedules,
    /// Shared with what a publish waits for: a clone of all of them would be counted up and down once for
    /// each, by every publish.
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) landed: OnceLock<Arc<dyn LandedFiles>>,
    /// Whether ingest streams land as files.
    pub(crate) lands: AtomicBool,
    pub(crate) webhooks: OnceLock<Arc<dyn Webhooks>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.subscriptions.bells.stop();
        self.subscriptions.clockwork.stop();
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hub(..)")
    }
}

/// Why a grant does not reach a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The stream is another project's: to this caller it does not exist.
    NotFound,
    /// It is the caller's project's, but not this caller's.
    Forbidden,
}

/// Whether `grant` allows `action` on `stream`.
pub(crate) fn reach(grant: &Grant, action: Action, stream: &Stream) -> Result<(), Denied> {
    let operates = grant.actions.contains(&Action::Operate);
    if !operates && grant.project.as_ref() != Some(&stream.project) {
        return Err(Denied::NotFound);
    }
    let names_it = lists(grant, &stream.name) && reaches_stream(grant, action, &stream.name);
    // One that was made before such names were refused must not pass for the server itself.
    let is_own = grant.integration.as_ref().is_none_or(|id| !is_reserved(id));
    let is_told = !webhook::is_of_another(grant, &stream.name);
    if allowed(grant, action, stream) && names_it && is_own && is_told {
        Ok(())
    } else {
        Err(Denied::Forbidden)
    }
}

/// Whether what `grant` may do has `action` on this stream in it. Some rights reach one kind of
/// stream only.
fn allowed(grant: &Grant, action: Action, stream: &Stream) -> bool {
    // Readers of loads trust that only extractions write there.
    if action == Action::Publish && stream.name.as_str() == LOAD_STREAM {
        return false;
    }
    let operates = grant.actions.contains(&Action::Operate);
    if action == Action::Publish && webhook::is_telling(&stream.name) && !operates {
        return false;
    }
    let by_kind = match action {
        Action::Publish => stream.settings.ingest.is_some().then_some(Action::Ingest),
        Action::Read => stream.is_feed().then_some(Action::Feed),
        _ => None,
    };
    [Some(action), by_kind].into_iter().flatten().any(|one| grant.allows(one, &stream.project))
}

impl Hub {
    /// Loads the catalog and starts to listen to the engine's commits. Its metrics go into
    /// `registry`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        options: Options,
        registry: &mut Registry,
    ) -> Result<Self, OpenError> {
        let catalog = Catalog::load(&*engine).await?;
        let extractions = Extractions::load(&*engine).await?;
        let metrics = Metrics::new(registry);
        let tails = Tails::new(engine.clone(), options.clone(), metrics.clone());
        let directory = Directory::load(&*engine, &catalog, &*clock).await?;
        let schedules = Schedules::load(&*engine, &catalog).await?;
        let bells = Arc::new(Bells::default());
        engine.observe(Arc::new(Observer { tails: tails.clone(), bells: bells.clone() }));
        let mut subscriptions = Subscriptions::new(clock.now(), bells, registry);
        subscriptions.prepared = Prepared::load(&*engine, &catalog, &directory).await?;
        *subscriptions.directory.write() = directory;
        let inner = Inner {
            engine,
            clock,
            rng,
            inflight: Arc::new(Semaphore::new(options.room())),
            shares: publish::Shares::new(options.room()),
            reading: Arc::new(Semaphore::new(options.room())),
            looks: crate::aside::turns(),
            options,
            catalog: RwLock::new(catalog),
            changes: tokio::sync::Mutex::default(),
            tails,
            registry: drain::Registry::default(),
            slots: Arc::default(),
            ticks: AllTicks::default(),
            entity_room: Room::default(),
            extractions,
            clients: Arc::default(),
            temporary: Owners::default(),
            subscribers: subscriber::Known::default(),
            subscriptions,
            schedules,
            metrics: Arc::new(metrics),
            landed: OnceLock::new(),
            lands: AtomicBool::new(false),
            webhooks: OnceLock::new(),
        };
        let inner = Arc::new(inner);
        registry.register_collector(Box::new(Largest(Arc::downgrade(&inner))));
        inner.subscriptions.bells.start(&inner);
        Clockwork::start(&inner);
        webhook::opened(&inner);
        keyed::sweep::orphans(&inner);
        Extractions::resume(&inner);
        Ok(Self { inner })
    }

    /// The hub again, for what is called from inside.
    pub(crate) const fn of(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// What all clones share.
    pub(crate) const fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// All projects, in order of id.
    #[must_use]
    pub fn projects(&self) -> Vec<Arc<Project>> {
        self.inner.catalog.read().tenants.values().map(|tenant| tenant.project.clone()).collect()
    }

    /// The project with this id.
    #[must_use]
    pub fn project(&self, id: &ProjectId) -> Option<Arc<Project>> {
        self.inner.catalog.read().tenants.get(id).map(|tenant| tenant.project.clone())
    }

    /// Creates a project, without streams. Durable when this returns, as all changes here are.
    ///
    /// # Errors
    /// [`CatalogError`](crate::CatalogError).
    pub fn create_project(&self, project: Project) -> Change<Arc<Project>> {
        in_turn(&self.inner, |inner| change::create_project(inner, project))
    }

    /// Replaces the project with this id; `created` stays.
    ///
    /// # Errors
    /// [`CatalogError`](crate::CatalogError).
    pub fn update_project(&self, project: Project) -> Change<Arc<Project>> {
        in_turn(&self.inner, |inner| change::update_project(inner, project))
    }

    /// Deletes a project with its streams, events, cursors and integrations, and ends its
    /// sessions. Its credentials are `auth`'s to revoke.
    ///
    /// # Errors
    /// [`CatalogError`](crate::CatalogError).
    pub fn delete_project(&self, id: &ProjectId) -> Change<()> {
        let id = id.clone();
        in_turn(&self.inner, |inner| change::delete_project(inner, id))
    }

    /// The streams of a project, in order of name; none when there is no such project.
    #[must_use]
    pub fn streams(&self, project: &ProjectId) -> Vec<Arc<Stream>> {
        let catalog = self.inner.catalog.read();
        catalog
            .tenants
            .get(project)
            .map(|tenant| tenant.streams.values().cloned().collect())
            .unwrap_or_default()
    }

    /// The stream with this name.
    #[must_use]
    pub fn stream(&self, project: &ProjectId, name: &StreamName) -> Option<Arc<Stream>> {
        self.inner.catalog.read().stream(project, name)
    }

    /// Creates a stream.
    ///
    /// # Errors
    /// [`CatalogError`](crate::CatalogError).
    pub fn create_stream(&self, project: &ProjectId, new: NewStream) -> Change<Arc<Stream>> {
        let project = project.clone();
        in_turn(&self.inner, |inner| change::create_stream(inner, project, new))
    }

    /// Changes a stream's settings.
    ///
    /// # Errors
    /// [`CatalogError`](crate::CatalogError).
    pub fn update_stream(
        &self,
        project: &ProjectId,
        name: &StreamName,
        settings: StreamSettings,
    ) -> Change<Arc<Stream>> {
        let (project, name) = (project.clone(), name.clone());
        in_turn(&self.inner, |inner| change::update_stream(inner, project, name, settings))
    }

    /// The stream with this name, as text: what every publish asks for.
    #[must_use]
    pub fn stream_named(&self, project: &str, name: &str) -> Option<Arc<Stream>> {
        self.inner.catalog.read().tenants.get(project)?.streams.get(name).cloned()
    }

    /// Deletes a stream with its events and cursors, and ends its sessions.
    ///
    /// # Errors
    /// [`CatalogError`](crate::CatalogError).
    pub fn delete_stream(&self, project: &ProjectId, name: &StreamName) -> Change<()> {
        let (project, name) = (project.clone(), name.clone());
        in_turn(&self.inner, |inner| change::delete_stream(inner, project, name))
    }

    /// The integrations of a project, in order of id; none when there is no such project.
    #[must_use]
    pub fn integrations(&self, project: &ProjectId) -> Vec<Arc<Integration>> {
        let catalog = self.inner.catalog.read();
        let tenant = catalog.tenants.get(project);
        tenant.map(|tenant| tenant.integrations.values().cloned().collect()).unwrap_or_default()
    }

    /// The integration with this id.
    #[must_use]
    pub fn integration(&self, project: &ProjectId, id: &IntegrationId) -> Option<Arc<Integration>> {
        self.inner.catalog.read().integration(project, id)
    }

    /// Creates an integration.
    ///
    /// # Errors
    /// [`CatalogError`](crate::CatalogError).
    pub fn create_integration(&self, integration: Integration) -> Change<Arc<Integration>> {
        in_turn(&self.inner, |inner| change::create_integration(inner, integration))
    }

    /// Replaces the integration with this id; `created` stays. When it is entitled to less than
    /// before, its sessions are ended, and see less when they come back.
    ///
    /// # Errors
    /// [`CatalogError`](crate::CatalogError).
    pub fn update_integration(&self, integration: Integration) -> Change<Arc<Integration>> {
        let id = (integration.project.clone(), integration.id.clone());
        let change = |inner| change::update_integration(inner, integration);
        in_turn_then(&self.inner, change, |inner| webhook::change::entitled(inner, id))
    }

    /// Deletes an integration and ends its sessions. Its tokens are `auth`'s to revoke; they read
    /// nothing any more.
    ///
    /// # Errors
    /// [`CatalogError`](crate::CatalogError).
    pub fn delete_integration(&self, project: &ProjectId, id: &IntegrationId) -> Change<()> {
        let (project, id) = (project.clone(), id.clone());
        in_turn(&self.inner, |inner| change::delete_integration(inner, project, id))
    }

    /// Whether `grant` allows `action` on `stream`: for lists, and before something is set up. What
    /// is done is checked again.
    #[must_use]
    pub fn reaches(&self, grant: &Grant, action: Action, stream: &Stream) -> bool {
        reach(grant, action, stream).is_ok()
    }

    /// What events are held to, as of now: for [`Draft::push_json`] and [`Draft::push`].
    #[must_use]
    pub fn rules(&self) -> Rules {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let options = &self.inner.options;
        Rules {
            now: self.inner.clock.now(),
            max_event_bytes: options.max_event_bytes,
            max_depth: options.max_depth,
            max_age_ms: millis(options.max_age),
            max_ahead_ms: millis(options.max_ahead),
        }
    }

    /// Where ids of events are drawn from.
    #[must_use]
    pub fn rng(&self) -> &dyn Rng {
        &*self.inner.rng
    }

    /// The server's clock.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    /// Which clients' ids are in use.
    pub(crate) fn clients(&self) -> &Arc<ClientIds> {
        &self.inner.clients
    }

    /// What the server was set to.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Stores the events of `draft`, in order and all or none, and answers when they are durable
    /// (on a relaxed stream: queued). Events whose own id was seen within the stream's window are
    /// answered with the first one's offset.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(
        &self,
        grant: &Grant,
        stream: &Stream,
        draft: Draft,
    ) -> Result<Receipt, PublishError> {
        publish::publish(&self.inner, grant, stream, draft, None).await
    }

    /// As [`Hub::publish`], to an ingest stream: for the face that is its way in, which has checked
    /// that the stream takes such a payload now. Other faces cannot publish there.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn ingest(
        &self,
        grant: &Grant,
        stream: &Stream,
        draft: Draft,
    ) -> Result<Receipt, PublishError> {
        publish::ingest(&self.inner, grant, stream, draft).await
    }

    /// Begins a read.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn open_read(
        &self,
        grant: &Grant,
        request: ReadRequest,
    ) -> Result<ReadSession, ReadError> {
        open::open_read(&self.inner, grant, request, Reader::Client).await
    }

    /// Begins a read of the server's own, which counts against nobody's connections.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn open_own_read(
        &self,
        grant: &Grant,
        request: ReadRequest,
    ) -> Result<ReadSession, ReadError> {
        open::open_read(&self.inner, grant, request, Reader::Server).await
    }

    /// Ends the sessions of a credential's generations below `below` at once. For `auth`'s revoke
    /// listener.
    pub fn close_credential(&self, credential: &CredentialId, below: u32) {
        self.inner.registry.revoke(credential, below);
    }

    /// Ends the sessions of an integration at once.
    pub fn close_integration(&self, project: &ProjectId, integration: &IntegrationId) {
        change::close_integration(&self.inner, project, integration, &CloseReason::Revoked);
    }

    /// Refuses reads from now on, and ends the live ones at moments scattered over `within`.
    /// Publishing goes on.
    pub fn drain(&self, within: Duration) {
        let schedule = self.inner.registry.drain(within, &*self.inner.rng);
        // Those who look see that it is over; consumers end as sessions do.
        for subscription in self.inner.subscriptions.directory.read().all() {
            subscription.wake_peekers();
        }
        tokio::spawn(drain::follow(schedule));
    }

    /// How many sessions there are now: a drain is over when there are none.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.inner.registry.len()
    }

    /// Whether reads are refused because the server is going away.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.registry.is_draining()
    }

    /// How the engine is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.inner.engine.health()
    }

    /// How a stream stands.
    #[must_use]
    pub fn stats(&self, stream: &Stream) -> StreamStats {
        let nothing = Bounds { start: stream.begins, next: stream.begins };
        let bounds = stream.bounds(&*self.inner.engine).unwrap_or(nothing);
        StreamStats {
            start: bounds.start,
            next: bounds.next,
            stored_bytes: self.inner.engine.stored_bytes(stream.id),
            readers: stream.lane.readers.load(Ordering::Relaxed),
        }
    }
}
