//! Puts the webhook face together: its guard, its client, its posts.
//!
//! Called by [`crate::wiring`] at the start; [`check`] by `outflow config check`.

use std::net::SocketAddr;
use std::sync::Arc;

use outflow_face::{Drain, Phase};
use outflow_face_webhook::client::{self, Client, ClientOptions};
use outflow_face_webhook::resolve;

use super::{Core, StartError};
use crate::config::Config;

/// The most tasks that share the webhooks.
const MAX_POSTS: usize = 4;

/// What requests go through, if anything.
fn proxy(config: &Config) -> Result<Option<client::Proxy>, StartError> {
    let proxy = config.webhook.proxy().map(client::Proxy::parse).transpose();
    proxy.map_err(|error| failed("proxy", &error))
}

fn failed(key: &'static str, reason: &dyn std::fmt::Display) -> StartError {
    StartError::Webhook { key, reason: reason.to_string() }
}

/// What is wrong with what webhooks are sent with, as far as it can be told without sending any.
pub(crate) fn check(config: &Config) -> Vec<StartError> {
    if !config.webhook.enabled {
        return Vec::new();
    }
    let untrusted = client::tls::trusting(config.webhook.ca_file()).err();
    let untrusted = untrusted.map(|error| failed("ca_file", &error));
    untrusted.into_iter().chain(proxy(config).err()).collect()
}

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
        let tls = client::tls::trusting(webhook.ca_file());
        let tls = tls.map_err(|error| failed("ca_file", &error))?;
        let (guard, clock) = (options.guard.clone(), Arc::clone(&self.clock));
        let mut through = ClientOptions::new(guard, resolve::of_the_system(), tls, clock);
        through.proxy = proxy(config)?;
        let client = Arc::new(Client::new(through));
        let names = self.registry.sub_registry_with_prefix("outflow");
        let stopping = drain.clone();
        let stopping = move || {
            let stopping = stopping.clone();
            async move { stopping.reached(Phase::Draining).await }
        };
        let (hub, auth) = (&self.hub, &self.auth);
        let served = outflow_face_webhook::serve(hub, auth, client, options, names, stopping);
        served.map(Some).map_err(|error| failed("enabled", &error))
    }
}
