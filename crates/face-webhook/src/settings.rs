//! An endpoint's settings: checked when they are set, and as they are used.
//!
//! Called by the post for each endpoint, and for those who configure one. What is stored is
//! [`Webhook`] in the catalog and [`WebhookSecrets`]; here they become what is sent with.
//!
//! Invariant: a fault says where it is and never shows a secret.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use outflow_auth::{Secret, WebhookSecrets};
use outflow_hub::webhook::WebhookId;
use outflow_hub::{Webhook, WebhookFault, WebhookKey};
use outflow_model::{Filter, Rng};

use crate::attempt::Target;
use crate::options::Options;
use crate::schedule::Schedule;
use crate::session::Rules;
use crate::signature::{Signer, Style, secret, standard};
use crate::wire::{BatchSize, Encoding, HeaderError, Headers};

/// The most lanes of an endpoint.
const MAX_LANES: u32 = 64;
/// How long an attempt may be allowed to last.
const TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(60);
/// How long an endpoint may be allowed to do nothing but fail.
const FAILING: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(90 * 24 * 3_600);

/// An endpoint as it is used.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) target: Arc<Target>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) encoding: Encoding,
    pub(crate) timeout: Duration,
    pub(crate) rules: Rules,
}

fn fault(pointer: &str, reason: &dyn fmt::Display) -> WebhookFault {
    WebhookFault { pointer: pointer.into(), reason: reason.to_string() }
}

/// What a webhook says, as it is used.
pub(crate) fn read(
    options: &Options,
    id: &WebhookId,
    webhook: &Webhook,
    secrets: &WebhookSecrets,
) -> Result<Settings, WebhookFault> {
    let endpoint = options.guard.endpoint(&webhook.url).map_err(|error| fault("/url", &error))?;
    let given = secrets.headers.iter();
    let given = given.map(|(name, value)| (name.clone(), value.expose().to_owned()));
    let headers = headers(given.collect())?;
    let style = style(&webhook.style)?;
    let refuse = |error| fault("/secret", &error);
    let mut signer = Signer::new(style, &secrets.secret).map_err(refuse)?;
    for (old, until) in &secrets.old {
        signer = signer.with_old(old, *until).map_err(refuse)?;
    }
    let (project, integration) = id.clone();
    Ok(Settings {
        target: Arc::new(Target { project, integration, endpoint, headers }),
        signer: Arc::new(signer),
        encoding: if webhook.gzip { Encoding::Gzip } else { Encoding::Identity },
        timeout: webhook.timeout.unwrap_or(options.timeout),
        rules: rules(options, webhook)?,
    })
}

/// Whether these settings can be used.
pub(crate) fn check(
    options: &Options,
    webhook: &Webhook,
    given: &[(String, String)],
) -> Result<(), WebhookFault> {
    options.guard.new_endpoint(&webhook.url).map_err(|error| fault("/url", &error))?;
    headers(given.to_vec())?;
    style(&webhook.style)?;
    rules(options, webhook)?;
    if let Some(filter) = &webhook.filter {
        Filter::parse(filter.as_bytes()).map_err(|error| fault("/filters", &error))?;
    }
    if webhook.timeout.is_some_and(|time| !TIMEOUTS.contains(&time)) {
        return Err(fault("/timeout_ms", &"must be 1000 to 60000"));
    }
    Ok(())
}

/// A secret for a style, drawn or given, of this kind if one is named. `rng` must be one for secrets.
pub(crate) fn secret(
    rng: &dyn Rng,
    word: &str,
    key: Option<WebhookKey>,
    given: Option<&str>,
) -> Result<String, WebhookFault> {
    let style = style(word)?;
    if key == Some(WebhookKey::Ed25519) && style != Style::Standard {
        return Err(fault("/key_type", &"only the style `standard` signs with Ed25519"));
    }
    let refuse = |error| fault("/secret", &error);
    let secret = match (given, key) {
        (Some(text), _) => Secret::new(text.to_owned()),
        (None, Some(WebhookKey::Ed25519)) => secret::draw_ed25519(rng).map_err(refuse)?,
        (None, Some(WebhookKey::Hmac) | None) => secret::draw_hmac(rng),
    };
    Signer::new(style, &secret).map_err(refuse)?;
    let is_pair = public_key(word, secret.expose()).is_some();
    if key.is_some_and(|key| is_pair != (key == WebhookKey::Ed25519)) {
        return Err(fault("/secret", &"it is of another kind than `key_type` says"));
    }
    Ok(secret.expose().to_owned())
}

/// What receivers verify with where that is no secret.
pub(crate) fn public_key(word: &str, text: &str) -> Option<String> {
    Style::parse(word).filter(|style| *style == Style::Standard)?;
    standard::Key::parse(&Secret::new(text.to_owned())).ok()?.public()
}

fn headers(given: Vec<(String, String)>) -> Result<Headers, WebhookFault> {
    Headers::new(given).map_err(|error| {
        let at = match &error {
            HeaderError::TooMany => None,
            HeaderError::Name { at }
            | HeaderError::Reserved { at, .. }
            | HeaderError::Twice { at, .. }
            | HeaderError::Value { at } => Some(at),
        };
        let pointer = at.map_or_else(|| "/headers".to_owned(), |at| format!("/headers/{at}"));
        fault(&pointer, &error)
    })
}

fn style(word: &str) -> Result<Style, WebhookFault> {
    let known = || Style::ALL.map(Style::as_str).join(", ");
    Style::parse(word).ok_or_else(|| fault("/style", &format!("it is none of {}", known())))
}

fn rules(options: &Options, webhook: &Webhook) -> Result<Rules, WebhookFault> {
    let size = BatchSize::new(u64::from(webhook.batch)).map_err(|error| fault("/batch", &error))?;
    if webhook.lanes.is_some_and(|lanes| !(1..=MAX_LANES).contains(&lanes)) {
        return Err(fault("/lanes", &format!("must be 1 to {MAX_LANES}")));
    }
    let schedule = if webhook.pauses.is_empty() {
        options.schedule.clone()
    } else {
        Schedule::new(webhook.pauses.clone()).map_err(|error| fault("/retry_pauses_ms", &error))?
    };
    let disable_after = webhook.disable_after.unwrap_or(options.disable_after);
    if !FAILING.contains(&disable_after) {
        return Err(fault("/disable_after_s", &"must be 60 to 7776000"));
    }
    Ok(Rules {
        size,
        max_bytes: options.max_batch_bytes,
        lanes: webhook.lanes.map_or(1, |lanes| lanes as usize),
        by_key: webhook.lanes.is_some(),
        max_apart: options.max_apart,
        max_held_bytes: options.max_endpoint_bytes.max(2 * options.max_batch_bytes),
        schedule,
        disable_after,
        is_paused: webhook.paused,
    })
}
