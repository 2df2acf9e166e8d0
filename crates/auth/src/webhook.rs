//! What a webhook's endpoint is told and nobody else: the secrets that requests are signed with, and
//! the values of the customer's own headers.
//!
//! Called by `admin`, which sets them, and by the webhook face, which sends them. They are stored
//! as they are, as the signing keys of API keys: the server has to sign with them. Nothing is kept
//! in memory: they are read when an endpoint is made, changed or begun with.
//!
//! Invariants: durable before anything acts on it; gone with the endpoint, its integration and its
//! project; no type here prints one.

use bytes::Bytes;
use outflow_model::{IntegrationId, ProjectId, Timestamp};
use outflow_store::{Batch, Condition, Op, Put};
use serde::{Deserialize, Serialize};

use crate::auth::{detached, scan};
use crate::{Auth, AuthError, Secret};

/// Where they are in the engine's state.
const PREFIX: &str = "auth/webhook/";
/// The version written; a newer one is refused.
const VERSION: u32 = 1;

/// The secrets of an endpoint. See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSecrets {
    /// What requests are signed with.
    pub secret: Secret,
    /// What they are signed with as well, each until a time.
    pub old: Vec<(Secret, Timestamp)>,
    /// The customer's headers, in order: names, and values that may be credentials.
    pub headers: Vec<(String, Secret)>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    v: u32,
    secret: String,
    old: Vec<(String, i64)>,
    headers: Vec<(String, String)>,
}

fn key(project: &ProjectId, integration: &IntegrationId) -> Bytes {
    format!("{PREFIX}{project}/{integration}").into()
}

fn encode(secrets: &WebhookSecrets) -> Result<Bytes, AuthError> {
    let text = |secret: &Secret| secret.expose().to_owned();
    let record = Record {
        v: VERSION,
        secret: text(&secrets.secret),
        old: secrets.old.iter().map(|(one, until)| (text(one), until.millis())).collect(),
        headers: secrets.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
    };
    serde_json::to_vec(&record).map(Bytes::from).map_err(|error| corrupt(&error))
}

fn decode(value: &[u8]) -> Result<WebhookSecrets, AuthError> {
    let record: Record = serde_json::from_slice(value).map_err(|error| corrupt(&error))?;
    if record.v > VERSION {
        return Err(AuthError::Corrupt("written by a newer version".into()));
    }
    let old = |(text, until)| (Secret::new(text), Timestamp::from_millis(until));
    Ok(WebhookSecrets {
        secret: Secret::new(record.secret),
        old: record.old.into_iter().map(old).collect(),
        headers: record.headers.into_iter().map(|(name, text)| (name, Secret::new(text))).collect(),
    })
}

/// Without the text at fault, which may be a secret.
fn corrupt(error: &serde_json::Error) -> AuthError {
    AuthError::Corrupt(format!("a webhook's secrets, at column {}", error.column()))
}

impl Auth {
    /// The secrets of an endpoint; `None`: it has none.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn webhook_secrets(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
    ) -> Result<Option<WebhookSecrets>, AuthError> {
        let entry = self.inner.engine.get(&key(project, integration)).await?;
        entry.map(|entry| decode(&entry.value)).transpose()
    }

    /// Sets the secrets of an endpoint, or removes them; durable when this returns.
    ///
    /// # Errors
    /// [`AuthError`]; they are then as they were.
    pub async fn set_webhook_secrets(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        secrets: Option<&WebhookSecrets>,
    ) -> Result<(), AuthError> {
        let value = secrets.map(encode).transpose()?;
        let put = Put { key: key(project, integration), value, condition: Condition::Any };
        self.store(vec![Op::Put(put)]).await
    }

    /// What sets the secrets of an endpoint, for the write that sets the endpoint itself. Whoever has it
    /// has the secrets.
    ///
    /// # Errors
    /// [`AuthError`], never in practice: they cannot be written down.
    pub fn setting_webhook_secrets(
        &self,
        project: &ProjectId,
        integration: &IntegrationId,
        secrets: &WebhookSecrets,
    ) -> Result<Op, AuthError> {
        let value = Some(encode(secrets)?);
        Ok(Op::Put(Put { key: key(project, integration), value, condition: Condition::Any }))
    }

    /// Removes the secrets of a project's endpoints, or of one of its integrations'.
    pub(crate) async fn forget_webhooks(
        &self,
        project: &ProjectId,
        integration: Option<&IntegrationId>,
    ) -> Result<(), AuthError> {
        let keys = match integration {
            Some(one) => vec![key(project, one)],
            None => {
                let prefix = format!("{PREFIX}{project}/");
                let all = scan(&*self.inner.engine, prefix.as_bytes()).await?;
                all.into_iter().map(|entry| entry.key).collect()
            }
        };
        let absent = |key| Op::Put(Put { key, value: None, condition: Condition::Any });
        let ops: Vec<Op> = keys.into_iter().map(absent).collect();
        if ops.is_empty() { Ok(()) } else { self.store(ops).await }
    }

    async fn store(&self, ops: Vec<Op>) -> Result<(), AuthError> {
        let inner = self.inner.clone();
        detached(async move {
            let _turn = inner.changes.lock().await;
            inner.engine.submit(Batch { ops, ..Batch::default() }).await.map_err(AuthError::from)
        })
        .await
    }
}
