//! What callers say of a webhook.

use std::time::Duration;

use outflow_auth::Secret;
use outflow_hub::{Project, Start, Webhook, WebhookKey};
use outflow_model::StreamName;
use serde::Deserialize;

use crate::error::Refused;
use crate::input;

/// How many events a request has where nothing is said (seed 001).
const BATCH: u32 = 10;
/// The longest filter that is stored, in bytes of JSON.
const MAX_FILTER_BYTES: usize = 64 << 10;

/// A webhook to make, or its settings to replace.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    /// Where events are POSTed to: `https://`, without a user.
    #[cfg_attr(
        test,
        schema(max_length = 2048, example = "https://example.com/hook?source=outflow")
    )]
    url: String,
    /// The stream; the project's default if absent. It cannot be changed.
    stream: Option<String>,
    /// Where a new webhook begins: `latest` (the default) or `earliest`.
    start: Option<String>,
    /// How many events a request has at most: 1, 5, 10, 15, 20, 30, 50 or 100. 10 by default.
    batch: Option<u32>,
    /// How many requests may be under way at once, in order for each key; null or absent: all in
    /// order, one request at a time.
    #[cfg_attr(test, schema(minimum = 1, maximum = 64))]
    lanes: Option<u32>,
    /// Whether bodies are packed with gzip. The signature is of the packed bytes.
    gzip: Option<bool>,
    /// Which events are sent: an array of filters as Airship's; null or absent: all that the
    /// integration is entitled to.
    filters: Option<serde_json::Value>,
    /// How requests are signed: `standard` (the default), `stripe`, `github` or `none`.
    style: Option<String>,
    /// Headers that are added, in order, as [name, value]; absent: as they were.
    headers: Option<Vec<(String, String)>>,
    /// What requests are signed with; absent: as it was, or a new one.
    secret: Option<String>,
    /// With the style `standard`: `hmac`, a secret that receivers have as well, or `ed25519`, a key pair whose
    /// public half they have. Absent: as it was, or `hmac`; where it changes, a new one is drawn.
    key_type: Option<String>,
    /// The pauses after failures, the last of which comes again and again, each a fifth more or less. Whatever they are, a
    /// minute at least passes after 408, 429, 502 and 504 and where no answer came in time, and what a
    /// `Retry-After` says, up to an hour.
    retry_pauses_ms: Option<Vec<u64>>,
    /// How long an attempt may last.
    #[cfg_attr(test, schema(minimum = 1000, maximum = 60000))]
    timeout_ms: Option<u64>,
    /// After how many seconds of failure only it is disabled.
    #[cfg_attr(test, schema(minimum = 60, maximum = 7_776_000))]
    disable_after_s: Option<u64>,
    /// Whether nothing is sent for now; absent: as it was, or false.
    paused: Option<bool>,
}

/// A new secret.
#[derive(Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookRotation {
    /// For how many seconds the one before signs as well; a day if absent. With 0 no other than the new one
    /// signs from now on, whatever was said of those before.
    #[cfg_attr(test, schema(maximum = 604_800))]
    pub(super) overlap_s: Option<u64>,
    /// The new one; drawn if absent.
    pub(super) secret: Option<String>,
    /// `hmac` or `ed25519`, for the style `standard`; absent: as the one before.
    pub(super) key_type: Option<String>,
}

/// From where to send again.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Replay {
    /// `earliest`, `latest`, the offset of the first event, or an RFC 3339 time.
    pub(super) from: String,
    /// Whether what was not delivered before that place is never sent.
    #[serde(default)]
    pub(super) skip: bool,
}

/// What to send once more.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Resend {
    /// The message's id, as attempts name it.
    pub(super) message: String,
}

/// Since when to send again what was refused.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Recovery {
    /// RFC 3339.
    #[cfg_attr(test, schema(format = DateTime))]
    pub(super) since: String,
}

impl NewWebhook {
    /// Where a new one begins.
    pub(super) fn start(&self, is_there: bool) -> Result<Start, Refused> {
        match self.start.as_deref() {
            Some(_) if is_there => {
                Err(Refused::member("/start", "it has begun; replay it from a place instead"))
            }
            None | Some("latest") => Ok(Start::Latest),
            Some("earliest") => Ok(Start::Earliest),
            Some(_) => Err(Refused::member("/start", "it is neither latest nor earliest")),
        }
    }

    /// The settings, on top of what is there.
    pub(super) fn webhook(
        &self,
        project: &Project,
        old: Option<&Webhook>,
    ) -> Result<Webhook, Refused> {
        let stream = match (&self.stream, old) {
            (Some(name), _) => input::id("/stream", name, StreamName::new)?,
            (None, Some(old)) => old.stream.clone(),
            (None, None) => project.default_stream.clone(),
        };
        if old.is_some_and(|old| old.stream != stream) {
            return Err(Refused::member("/stream", "it cannot be changed: the place is in it"));
        }
        let filter = self.filters.as_ref().map(ToString::to_string);
        if filter.as_ref().is_some_and(|text| text.len() > MAX_FILTER_BYTES) {
            return Err(Refused::member("/filters", "they are too long"));
        }
        let pauses = self.retry_pauses_ms.iter().flatten();
        Ok(Webhook {
            stream,
            url: self.url.clone(),
            batch: self.batch.unwrap_or(BATCH),
            lanes: self.lanes,
            gzip: self.gzip.unwrap_or(false),
            filter,
            style: self.style.clone().unwrap_or_else(|| "standard".to_owned()),
            pauses: pauses.copied().map(Duration::from_millis).collect(),
            timeout: self.timeout_ms.map(Duration::from_millis),
            disable_after: self.disable_after_s.map(Duration::from_secs),
            paused: self.paused.unwrap_or_else(|| old.is_some_and(|old| old.paused)),
        })
    }

    /// The headers, if they are said.
    pub(super) fn headers(&self) -> Option<Vec<(String, Secret)>> {
        let headers = self.headers.as_ref()?.iter();
        Some(headers.map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect())
    }

    /// The secret, if it is said.
    pub(super) fn secret(&self) -> Option<&str> {
        self.secret.as_deref()
    }

    /// What kind of secret, if it is said.
    pub(super) fn key_type(&self) -> Result<Option<WebhookKey>, Refused> {
        key_type(self.key_type.as_deref())
    }
}

/// A kind of secret, if it is said.
pub(super) fn key_type(word: Option<&str>) -> Result<Option<WebhookKey>, Refused> {
    let parse = |word| {
        let kind = WebhookKey::parse(word);
        kind.ok_or_else(|| Refused::member("/key_type", "it is neither hmac nor ed25519"))
    };
    word.map(parse).transpose()
}
