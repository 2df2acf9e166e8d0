//! Puts the storeys together: engine, auth, hub, faces, listeners.
//!
//! Called by `serve` and `dev`. The one place that names engines and faces.

mod credentials;
pub(crate) mod webhook;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, Uri};
use axum::response::Response;
use outflow_auth::{Auth, SystemRng};
use outflow_body::Door;
use outflow_face::{App, ByFirstByte, Counters, Drain, HttpLimits, Phase, SocketLimits, Tls};
use outflow_face_openwire::OpenWire;
use outflow_face_stomp::Stomp;
use outflow_hub::Hub;
use outflow_landing::Lander;
use outflow_model::clock::SystemClock;
use outflow_model::rng::SeededRng;
use outflow_model::{Clock, Rng};
use outflow_store::Engine;
use outflow_store::memory::MemoryEngine;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::activation::Handed;
use crate::certificates;
use crate::config::{self, Config};
use crate::counts::Counts;
use crate::serving::Serving;
use crate::status::Status;
use crate::tasks::Tasks;

/// How long bytes of a broker protocol's connection may stay unacknowledged until it counts as dead:
/// shorter than a login waits for its client id
/// ([`client_id_wait`](outflow_broker::Limits::client_id_wait)).
const BROKER_USER_TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes of the small bodies may be held at once, over all requests: of those that configure,
/// that ask for a stream and that ask for a token. One project holds a quarter at most.
const SMALL_BODIES: usize = 64 << 20;

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The data directory cannot be opened.
    #[error("cannot open the data directory `{dir}`: {reason}")]
    Engine {
        /// The directory.
        dir: PathBuf,
        /// Why.
        reason: String,
    },
    /// Credentials cannot be read.
    #[error(transparent)]
    Auth(#[from] outflow_auth::AuthError),
    /// The catalog cannot be read.
    #[error(transparent)]
    Hub(#[from] outflow_hub::OpenError),
    /// A certificate cannot be used.
    #[error("{listener}.tls: {error}")]
    Tls {
        /// The listener, which is its section of the configuration.
        listener: &'static str,
        /// What is wrong.
        error: outflow_face::tls::TlsError,
    },
    /// A header cannot be called so.
    #[error("{key}: it is not the name of a header")]
    Header {
        /// The configuration key.
        key: &'static str,
    },
    /// An address cannot be listened on.
    #[error("{listener}.listen: cannot listen on {addr}: {error}")]
    Listen {
        /// The listener, which is its section of the configuration.
        listener: &'static str,
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// Landing cannot begin.
    #[error("landing.{0}")]
    Landing(#[from] crate::landing::LandingError),
    /// Webhooks cannot be served.
    #[error("webhook.{key}: {reason}")]
    Webhook {
        /// The configuration key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The first operator's token cannot be kept.
    #[error(transparent)]
    Operator(#[from] crate::operator::OperatorError),
    /// The demonstration's project cannot be made.
    #[error("the demonstration cannot be set up: {0}")]
    Demonstration(String),
    /// The system refuses what the process needs.
    #[error("the system refuses {what}: {error}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it says.
        error: std::io::Error,
    },
}

/// Everything below the faces.
pub(crate) struct Core {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) auth: Auth,
    pub(crate) hub: Hub,
    pub(crate) clock: Arc<dyn Clock>,
    ids: Arc<dyn Rng>,
    registry: Registry,
    /// Whether it leaves nothing behind.
    ephemeral: bool,
}

impl Core {
    /// Opens the engine (recovering, if need be), then what stands on it.
    pub(crate) async fn open(config: &Config, ephemeral: bool) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let secrets: Arc<dyn Rng> = Arc::new(SystemRng);
        // Ids of events and requests must differ, not be unguessable: asking the system for each
        // took a sixth of the processor's time at publishing.
        let ids: Arc<dyn Rng> = Arc::new(SeededRng::new(secrets.next_u64()));
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Tasks(Handle::current())));
        let engine: Arc<dyn Engine> = if ephemeral {
            Arc::new(MemoryEngine::new(Arc::clone(&clock)))
        } else {
            crate::storage::open(config, Arc::clone(&clock)).await?
        };
        let auth = Auth::open(Arc::clone(&engine), Arc::clone(&clock), secrets).await?;
        let hub = Hub::open(
            Arc::clone(&engine),
            Arc::clone(&clock),
            Arc::clone(&ids),
            hub_options(config),
            &mut registry,
        )
        .await?;
        credentials::join(&auth, &hub);
        // Their connections ended with the last run.
        if let Err(error) = hub.drop_all_temporary().await {
            tracing::warn!(%error, "temporary destinations of the last run were left behind");
        }
        Ok(Self { engine, auth, hub, clock, ids, registry, ephemeral })
    }

    /// All HTTP faces and the admin interface, as one application.
    fn routes(
        &mut self,
        config: &Config,
        drain: &Drain,
        stomp: Option<&Stomp>,
    ) -> Result<App, StartError> {
        let ndjson = outflow_face_ndjson::Options {
            heartbeat: Duration::from_millis(config.stream.heartbeat_ms),
            ..outflow_face_ndjson::Options::default()
        };
        let limits = &config.limits;
        let publish = outflow_face_publish::Limits {
            body_bytes: limits.max_body_bytes,
            events: limits.max_batch_events,
        };
        let largest = limits.max_body_bytes.max(limits.max_event_bytes);
        let door = Arc::new(Door::new(limits.held_body_bytes, largest));
        let (hub, auth) = (self.hub.clone(), self.auth.clone());
        let names = self.registry.sub_registry_with_prefix("outflow");
        // Apart from the others: where events fill theirs, an operator still gets through.
        let small = Arc::new(Door::new(SMALL_BODIES, 0));
        let ndjson =
            outflow_face_ndjson::router(hub.clone(), auth.clone(), ndjson, small.clone(), names);
        let ingest = ingest_options(config);
        let ingest = outflow_face_ingest::router(hub.clone(), auth.clone(), ingest, names);
        let (sse, draining) = (config.sse.options(), drain.clone());
        let sse = outflow_face_sse::router(hub.clone(), auth.clone(), sse, draining, names);
        let app = ndjson
            .clone()
            .merge(ingest)
            .merge(outflow_face_publish::router(
                hub.clone(),
                auth.clone(),
                publish,
                Arc::clone(&door),
            ))
            .merge(outflow_admin::router(hub.clone(), auth.clone(), small))
            .merge(sse)
            .merge(stomp.map(Stomp::router).unwrap_or_default())
            .method_not_allowed_fallback(outflow_admin::method_not_allowed);
        // Its paths count in any case, so it stands where no other route was found.
        let unknown = Router::new().fallback(move |request: Request| unrouted(ndjson, request));
        let mailbox = mailbox_options(config)?;
        let drain = drain.clone();
        let rest = outflow_face_mailbox::router(unknown, hub, auth, mailbox, door, drain, names);
        let app = app.fallback_service(rest);
        let refuse = outflow_face_ndjson::refuse;
        Ok(App::identified(app, Arc::clone(&self.ids), is_frequent, refuse))
    }

    /// STOMP, and its metrics.
    fn stomp(&mut self, config: &Config, drain: &Drain) -> Stomp {
        let names = self.registry.sub_registry_with_prefix("outflow");
        let (hub, auth, options) = (self.hub.clone(), self.auth.clone(), stomp_options(config));
        Stomp::new(hub, auth, options, drain.clone(), names)
    }

    /// OpenWire, and its metrics.
    fn openwire(&mut self, config: &Config, drain: &Drain) -> OpenWire {
        let names = self.registry.sub_registry_with_prefix("outflow");
        let options = config.openwire.options(&config.limits);
        OpenWire::new(self.hub.clone(), self.auth.clone(), options, drain.clone(), names)
    }

    /// What lands ingest streams as files, if that is wanted.
    fn lander(&mut self, config: &Config) -> Result<Option<Lander>, StartError> {
        if self.ephemeral {
            return Ok(None);
        }
        let names = self.registry.sub_registry_with_prefix("outflow");
        Ok(crate::landing::lander(config, &self.hub, names)?)
    }

    /// The counts of the listener `name`.
    fn counters(&mut self, listener: &'static str) -> Arc<Counters> {
        let counters = Arc::new(Counters::default());
        let counts = Counts { listener, counters: Arc::clone(&counters) };
        self.registry.register_collector(Box::new(counts));
        counters
    }

    /// Binds the listeners, or takes those that were handed over, and begins to serve.
    pub(crate) async fn serve(
        mut self,
        config: &Config,
        mut handed: Handed,
    ) -> Result<Serving, StartError> {
        let tls = certificates::load("http", &config.http.tls)?;
        let http = bind("http", config.http.listen, &mut handed)?;
        let admin = bind("admin", config.admin.listen, &mut handed)?;
        let counters = self.counters("http");
        let drain = Drain::new();
        let mut stomp = None;
        if config.stomp.enabled {
            let face = self.stomp(config, &drain);
            let listener = bind("stomp", config.stomp.listen, &mut handed)?;
            let tls = certificates::load("stomp", &config.stomp.tls)?;
            stomp = Some((face, local(&listener)?, listener, tls, self.counters("stomp")));
        }
        let mut openwire = None;
        if config.openwire.enabled {
            let face = self.openwire(config, &drain);
            let listener = bind("openwire", config.openwire.listen, &mut handed)?;
            let tls = certificates::load("openwire", &config.openwire.tls)?;
            openwire = Some((face, local(&listener)?, listener, tls, self.counters("openwire")));
        }
        let status = Status::new(self.hub.clone(), drain.clone(), Arc::clone(&self.clock));
        let app = self.routes(config, &drain, stomp.as_ref().map(|(face, ..)| face))?;
        let lander = self.lander(config)?;
        let mut own = vec![local(&http)?, local(&admin)?];
        own.extend(stomp.as_ref().map(|(_, address, ..)| *address));
        own.extend(openwire.as_ref().map(|(_, address, ..)| *address));
        let webhooks = self.webhooks(config, own, &drain)?;
        let operators = crate::admin_listener::router(
            status.clone(),
            self.hub.clone(),
            Arc::new(self.registry),
        );
        let limits = http_limits(config);
        let addresses = (local(&http)?, local(&admin)?);
        let mut certificates: Vec<Tls> = tls.iter().cloned().collect();
        let faces = outflow_face::serve(http, tls, app, limits.clone(), drain.clone(), counters);
        let shared = stomp.as_ref().map(|(face, ..)| face.clone());
        let mut stomp_address = None;
        let mut stomp_faces = None;
        if let Some((face, address, listener, tls, counters)) = stomp {
            certificates.extend(tls.clone());
            stomp_address = Some(address);
            let limits = SocketLimits {
                max_connections: config.stomp.max_connections,
                user_timeout: BROKER_USER_TIMEOUT,
                ..limits.socket()
            };
            let drain = drain.clone();
            stomp_faces = Some(async move {
                let own = face.clone();
                outflow_face::serve_protocol(listener, tls, own, limits, drain, counters).await;
                face.ended().await;
            });
        }
        let mut openwire_address = None;
        let mut openwire_faces = None;
        if let Some((face, address, listener, tls, counters)) = openwire {
            certificates.extend(tls.clone());
            openwire_address = Some(address);
            let limits = SocketLimits {
                max_connections: config.openwire.max_connections,
                user_timeout: BROKER_USER_TIMEOUT,
                ..limits.socket()
            };
            let drain = drain.clone();
            let face = ByFirstByte {
                usual: face,
                other: shared.filter(|_| config.openwire.also_stomp),
                is_other: outflow_face_stomp::begins,
                patience: Duration::from_millis(config.openwire.connect_timeout_ms),
                drain: drain.clone(),
            };
            openwire_faces =
                Some(outflow_face::serve_protocol(listener, tls, face, limits, drain, counters));
        }
        let stopping = drain.clone();
        let faces = async move {
            let stomp = async {
                if let Some(faces) = stomp_faces {
                    faces.await;
                }
            };
            let openwire = async {
                if let Some(faces) = openwire_faces {
                    faces.await;
                }
            };
            let landing = async {
                if let Some(lander) = lander {
                    lander.run(stopping.reached(Phase::Draining)).await;
                }
            };
            let webhooks = async {
                if let Some(webhooks) = webhooks {
                    webhooks.await;
                }
            };
            tokio::join!(faces, stomp, openwire, landing, webhooks);
        };
        // The admin listener stays until the end, so that a drain can be watched.
        let watched = Drain::new();
        let own = Arc::new(Counters::default());
        let admin = outflow_face::serve(admin, None, operators, limits, watched.clone(), own);
        Ok(Serving {
            http: addresses.0,
            admin: addresses.1,
            stomp: stomp_address,
            openwire: openwire_address,
            tls: certificates,
            status,
            hub: self.hub,
            engine: self.engine,
            drain,
            admin_drain: watched,
            faces: tokio::spawn(faces),
            admin_task: tokio::spawn(admin),
        })
    }
}

/// Which requests are too many for a tracing span each.
fn is_frequent(method: &Method, path: &str) -> bool {
    outflow_face_publish::is_frequent(method, path)
        || outflow_face_ingest::is_frequent(method, path)
}

/// What no route has: one of Airship's behind a prefix, or nothing.
async fn unrouted(ndjson: Router, mut request: Request) -> Response {
    match outflow_face_ndjson::behind_prefix(request.uri().path()) {
        Some(route) => {
            *request.uri_mut() = Uri::from_static(route);
            App::from(ndjson).answer(request).await
        }
        None => outflow_admin::no_such_route(request).await,
    }
}

/// The listener `name`: as handed over, or bound to `addr`.
fn bind(
    name: &'static str,
    addr: SocketAddr,
    handed: &mut Handed,
) -> Result<TcpListener, StartError> {
    let listener = match handed.take(name) {
        Some(socket) => socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket)),
        None => outflow_face::bind(addr),
    };
    listener.map_err(|error| StartError::Listen { listener: name, addr, error })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener
        .local_addr()
        .map_err(|error| StartError::System { what: "a listener's address", error })
}

fn stomp_options(config: &Config) -> outflow_face_stomp::Options {
    let stomp = &config.stomp;
    let defaults = outflow_face_stomp::Options::default();
    outflow_face_stomp::Options {
        frame: outflow_face_stomp::wire::FrameLimits {
            line_bytes: stomp.max_line_bytes,
            headers: stomp.max_headers,
            body_bytes: config.limits.max_event_bytes,
            ..defaults.frame
        },
        limits: stomp.limits(&config.limits),
        min_heart_beat: Duration::from_millis(stomp.min_heart_beat_ms),
        prefetch: stomp.prefetch,
        text_rule: match stomp.text_rule {
            config::TextRule::ContentType => outflow_face_stomp::TextRule::ContentType,
            config::TextRule::ContentLength => outflow_face_stomp::TextRule::ContentLength,
        },
        populate_user_id: stomp.populate_user_id,
        origins: stomp.origins(),
        max_web_sockets: stomp.max_connections,
        ..defaults
    }
}

fn hub_options(config: &Config) -> outflow_hub::Options {
    let limits = &config.limits;
    outflow_hub::Options {
        tail_blocks_bytes: limits.tail_bytes,
        tail_total_bytes: limits.tail_total_bytes,
        inflight_bytes: limits.inflight_bytes,
        publish_wait: Duration::from_millis(limits.publish_wait_ms),
        max_transaction_bytes: limits.max_transaction_bytes,
        max_event_bytes: limits.max_event_bytes,
        max_depth: limits.max_depth,
        max_sessions: limits.max_readers,
        virtual_topics: config.destinations.virtual_topics(),
        queue_retention: config.destinations.queue_retention(),
        destination_defaults: config.destinations.defaults(),
        abandoned_after: config.destinations.abandoned_after(),
        max_destinations: config.destinations.max_per_user(),
        ..outflow_hub::Options::default()
    }
}

fn mailbox_options(config: &Config) -> Result<outflow_face_mailbox::Options, StartError> {
    let mailbox = &config.mailbox;
    let header = |key: &'static str, name: &str| {
        http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| StartError::Header { key })
    };
    Ok(outflow_face_mailbox::Options {
        subscribe_status: match mailbox.subscribe_status {
            201 => outflow_face_mailbox::SubscribeStatus::Created,
            _ => outflow_face_mailbox::SubscribeStatus::Ok,
        },
        max_peek: Duration::from_secs(mailbox.max_peek_s),
        lock: Duration::from_secs(mailbox.lock_s),
        max_lock: Duration::from_secs(mailbox.max_lock_s),
        idle_expiry: Duration::from_secs(mailbox.idle_days * 86_400),
        keep: Duration::from_secs(mailbox.message_days * 86_400),
        strict_order: mailbox.strict_order,
        require_lock: mailbox.require_lock,
        max_parked: mailbox.max_parked,
        max_message_bytes: config.limits.max_event_bytes,
        key_header: header("mailbox.key_header", &mailbox.key_header)?,
        secret_header: header("mailbox.secret_header", &mailbox.secret_header)?,
        ..outflow_face_mailbox::Options::default()
    })
}

fn ingest_options(config: &Config) -> outflow_face_ingest::Options {
    let ingest = &config.ingest;
    outflow_face_ingest::Options {
        max_payload_bytes: ingest.max_payload_bytes,
        requests_per_second: ingest.requests_per_second,
        held_bytes: ingest.held_payload_bytes,
        commit_timeout: Duration::from_millis(ingest.commit_timeout_ms),
    }
}

fn http_limits(config: &Config) -> HttpLimits {
    let http = &config.http;
    HttpLimits {
        header_timeout: Duration::from_millis(http.header_timeout_ms),
        body_timeout: Duration::from_millis(http.body_timeout_ms),
        idle_timeout: Duration::from_millis(http.idle_timeout_ms),
        write_stall: Duration::from_millis(http.write_stall_ms),
        upgraded_user_timeout: BROKER_USER_TIMEOUT,
        max_connections: http.max_connections,
        ..HttpLimits::default()
    }
}
