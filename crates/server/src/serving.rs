//! A server that serves: until a signal, or until the storage fails.
//!
//! Made by `wiring`. A drain goes in order: new streams are refused and live ones ended cleanly
//! while the listener stays up; the listener is closed and requests under way are finished;
//! the engine is closed; the admin listener goes last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outflow_face::{Drain, Phase, Tls};
use outflow_hub::Hub;
use outflow_store::Engine;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, timeout_at};

use crate::config;
use crate::exit::Exit;
use crate::signals::{Asked, Signals};
use crate::status::Status;

/// How often the engine's health is looked at.
const WATCH: Duration = Duration::from_millis(250);

/// How often certificate files are looked at.
const CERTIFICATES: Duration = Duration::from_secs(10);

/// The listeners and what they stand on.
pub(crate) struct Serving {
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// `None`: not enabled.
    pub(crate) stomp: Option<SocketAddr>,
    /// `None`: not enabled.
    pub(crate) openwire: Option<SocketAddr>,
    /// The certificates of HTTP, STOMP and OpenWire.
    pub(crate) tls: Vec<Tls>,
    pub(crate) status: Status,
    pub(crate) hub: Hub,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) drain: Drain,
    pub(crate) admin_drain: Drain,
    pub(crate) faces: JoinHandle<()>,
    pub(crate) admin_task: JoinHandle<()>,
}

impl Serving {
    /// Serves until asked to stop. `reload` is called on SIGHUP and gives the drain settings from
    /// then on.
    pub(crate) async fn until_stopped(
        self,
        signals: &mut Signals,
        mut drain: config::Drain,
        mut reload: impl FnMut() -> Option<config::Drain>,
    ) -> Exit {
        let mut watch = interval(WATCH);
        let mut certificates = interval(CERTIFICATES);
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Stop => return self.stop(signals, &drain).await,
                    Asked::Reload => {
                        self.reload_certificates();
                        drain = reload().unwrap_or(drain);
                    }
                },
                _ = watch.tick() => {
                    self.status.tick();
                    if let Some(reason) = self.status.stopped() {
                        return self.fail(&reason).await;
                    }
                }
                _ = certificates.tick() => self.reload_changed_certificates(),
            }
        }
    }

    /// Drains and closes everything. A second signal cuts what is left.
    async fn stop(self, signals: &mut Signals, settings: &config::Drain) -> Exit {
        let deadline = Instant::now() + settings.deadline();
        tracing::info!(
            deadline_ms = settings.deadline().as_millis() as u64,
            "stopping: ending streams"
        );
        self.drain.advance(Phase::Draining);
        self.hub.drain(settings.within());
        let (status, drain, mut faces) = (self.status.clone(), self.drain.clone(), self.faces);
        let finish = async {
            while status.readers() > 0 {
                sleep(Duration::from_millis(20)).await;
            }
            drain.advance(Phase::Stopping);
            // The task ends by itself once its connections have.
            let _ = (&mut faces).await;
        };
        let ended = tokio::select! {
            ended = timeout_at(deadline, finish) => ended.is_ok(),
            () = second_stop(signals) => false,
        };
        if !ended {
            tracing::warn!("cutting the connections that are left");
            self.drain.advance(Phase::Now);
            let _ = tokio::time::timeout(Duration::from_secs(2), faces).await;
        }
        self.hub.end().await;
        self.engine.close().await;
        self.admin_drain.advance(Phase::Stopping);
        self.admin_drain.advance(Phase::Now);
        let _ = self.admin_task.await;
        tracing::info!("stopped");
        if ended { Exit::Clean } else { Exit::CutShort }
    }

    /// The engine has stopped by itself: nothing more can be promised, so the process ends.
    async fn fail(self, reason: &str) -> Exit {
        tracing::error!(
            reason,
            "the storage failed: stopping, nothing was acknowledged after this"
        );
        self.drain.advance(Phase::Draining);
        self.hub.drain(Duration::from_millis(200));
        sleep(Duration::from_millis(300)).await;
        self.drain.advance(Phase::Now);
        self.admin_drain.advance(Phase::Now);
        let _ = tokio::time::timeout(Duration::from_secs(2), self.faces).await;
        Exit::StorageFailed
    }

    fn reload_certificates(&self) {
        for tls in &self.tls {
            match tls.reload() {
                Ok(()) => tracing::info!("certificates loaded again"),
                Err(error) => {
                    tracing::error!(%error, "certificates not loaded, the old ones stay in use");
                }
            }
        }
    }

    fn reload_changed_certificates(&self) {
        for tls in &self.tls {
            match tls.reload_if_changed() {
                Ok(false) => {}
                Ok(true) => tracing::info!("certificates have changed and were loaded again"),
                Err(error) => {
                    tracing::error!(%error, "certificates not loaded, the old ones stay in use");
                }
            }
        }
    }
}

async fn second_stop(signals: &mut Signals) {
    while signals.next().await != Asked::Stop {}
}
