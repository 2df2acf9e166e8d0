//! Puts the webhook face together: its guard, its client, its posts.

use std::net::SocketAddr;
use std::sync::Arc;

use outflow_face::{Drain, Phase};
use outflow_face_webhook::client::{self, Client, ClientOptions};
use outflow_face_webhook::resolve;

use super::{Core, StartError};
use crate::config::Config;

/// The most tasks that share the webhooks.
const MAX_POSTS: usize = 4;

impl Core {
    /// What sends to webhooks until the drain, if that is wanted; `own` is where the server listens.
    pub(super) fn webhooks(
        &mut self,
        config: &Config,
        own: Vec<SocketAddr>,
        drain: &Drain,
    ) -> Result<Option<impl Future<Output = ()> + Send + use<>>, StartError> {
        let webhook = &config.webhook;
        if !webhook.enabled {
            return Ok(None);
        }
        if let Some(allowed) = webhook.allowances() {
            tracing::warn!(allowed, "webhooks may reach what they may not by default");
        }
        let posts = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_POSTS);
        let options = webhook.options(own, posts);
        let failed = |key, reason: String| StartError::Webhook { key, reason };
        let tls = client::tls::trusting(webhook.ca_file());
        let tls = tls.map_err(|error| failed("ca_file", error.to_string()))?;
        let (guard, clock) = (options.guard.clone(), Arc::clone(&self.clock));
        let mut through = ClientOptions::new(guard, resolve::of_the_system(), tls, clock);
        let proxy = webhook.proxy().map(client::Proxy::parse).transpose();
        through.proxy = proxy.map_err(|error| failed("proxy", error.to_string()))?;
        let client = Arc::new(Client::new(through));
        let names = self.registry.sub_registry_with_prefix("outflow");
        let stopping = drain.clone();
        let stopping = move || {
            let stopping = stopping.clone();
            async move { stopping.reached(Phase::Draining).await }
        };
        let (hub, auth) = (&self.hub, &self.auth);
        let served = outflow_face_webhook::serve(hub, auth, client, options, names, stopping);
        served.map(Some).map_err(|error| failed("enabled", error.to_string()))
    }
}
