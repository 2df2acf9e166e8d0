//! The face as others see it: begun by `server`, asked by `admin`.
//!
//! Each endpoint belongs to one of a few posts, by the hash of its name. What is asked goes to that
//! post and comes back from it.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use outflow_auth::{Auth, SystemRng};
use outflow_hub::webhook::{Asking, WebhookId};
use outflow_hub::{
    CatalogError, Hub, Webhook, WebhookAnswer, WebhookError, WebhookFault, WebhookStatus, Webhooks,
};
use outflow_model::id::NameError;
use outflow_model::{Action, CredentialId, Grant, Offset};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::attempt::Transport;
use crate::attempts::Log;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::post::{Command, Post, Shared};
use crate::settings;

/// How many commands may wait for a post.
const COMMANDS: usize = 1_024;

/// What `admin` asks. See the module.
struct Service {
    hub: Hub,
    options: Arc<Options>,
    posts: Vec<mpsc::Sender<Command>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({} posts)", self.posts.len())
    }
}

/// Which of so many posts serves an endpoint.
fn post_of(id: &WebhookId, posts: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    usize::try_from(hasher.finish() % posts.max(1) as u64).unwrap_or(0)
}

impl Service {
    async fn ask<T>(
        &self,
        id: &WebhookId,
        command: impl FnOnce(WebhookId, oneshot::Sender<Result<T, WebhookError>>) -> Command,
    ) -> Result<T, WebhookError> {
        let (answer, answered) = oneshot::channel();
        self.send(id, command(id.clone(), answer)).await;
        answered.await.unwrap_or(Err(WebhookError::Unavailable))
    }

    async fn send(&self, id: &WebhookId, command: Command) {
        if let Some(post) = self.posts.get(post_of(id, self.posts.len())) {
            // A post that has stopped needs to know nothing any more.
            let _ = post.send(command).await;
        }
    }
}

impl Webhooks for Service {
    fn check(&self, webhook: &Webhook, headers: &[(String, String)]) -> Result<(), WebhookFault> {
        settings::check(&self.options, webhook, headers)
    }

    fn secret(&self, style: &str, given: Option<&str>) -> Result<String, WebhookFault> {
        settings::secret(&SystemRng, style, given)
    }

    fn changed<'a>(&'a self, id: &'a WebhookId, anew: bool) -> Asking<'a, ()> {
        Box::pin(async move {
            self.send(id, Command::Changed(id.clone(), anew)).await;
            Ok(())
        })
    }

    fn moved<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, ()> {
        Box::pin(async move {
            self.send(id, Command::Moved(id.clone())).await;
            Ok(())
        })
    }

    fn retry<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, ()> {
        Box::pin(self.ask(id, Command::Retry))
    }

    fn status<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, WebhookStatus> {
        Box::pin(self.ask(id, Command::Status))
    }

    fn resend<'a>(
        &'a self,
        id: &'a WebhookId,
        first: Offset,
        last: Offset,
    ) -> Asking<'a, WebhookAnswer> {
        Box::pin(async move {
            let found = self.hub.endpoint_events(id, first, last).await;
            let (stream, events) = found.map_err(|error| match error {
                CatalogError::NotFound => WebhookError::NotFound,
                CatalogError::Invalid(_) => WebhookError::NoMessage,
                _ => WebhookError::Unavailable,
            })?;
            self.ask(id, |id, answer| Command::Resend { id, stream, events, answer }).await
        })
    }

    fn test<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, WebhookAnswer> {
        Box::pin(self.ask(id, Command::Test))
    }
}

/// Begins to serve all endpoints there are and those to come, until `stopping` is ready; await what
/// it gives for the end. Puts its metrics into `registry`, and itself into the hub.
///
/// # Errors
/// [`NameError`], never in practice: the name is fixed.
pub fn serve<S, F>(
    hub: &Hub,
    auth: &Auth,
    transport: Arc<dyn Transport>,
    options: Options,
    registry: &mut Registry,
    stopping: F,
) -> Result<impl Future<Output = ()> + Send + use<S, F>, NameError>
where
    F: Fn() -> S,
    S: Future<Output = ()> + Send + 'static,
{
    let metrics = Metrics::register(registry);
    let options = Arc::new(options);
    let grant = Grant {
        credential: CredentialId::new("webhook")?,
        generation: 0,
        expires: None,
        project: None,
        integration: None,
        actions: Arc::new([Action::Operate].into()),
        streams: None,
        destinations: None,
    };
    let (log, writing) = Log::new(hub.clone(), grant.clone(), options.clone(), metrics.clone());
    let (hub, auth) = (hub.clone(), auth.clone());
    let shared =
        Shared { hub: hub.clone(), auth, grant, transport, options: options.clone(), metrics, log };
    let count = options.posts.max(1);
    let (mut posts, mut runs) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for at in 0..count {
        let (send, commands) = mpsc::channel(COMMANDS);
        posts.push(send);
        runs.push((at, Post::new(shared.clone(), commands), stopping()));
    }
    drop(shared);
    hub.set_webhooks(Arc::new(Service { hub: hub.clone(), options, posts }));
    Ok(async move {
        // After the service is there to be told of changes: none is missed.
        let ids = hub.endpoints().into_iter().map(|one| (one.project.clone(), one.id.clone()));
        let ids: Vec<WebhookId> = ids.collect();
        let log = tokio::spawn(writing);
        // Each is a task, so that all cores serve them.
        let mut tasks = JoinSet::new();
        for (at, post, stopping) in runs {
            let own = ids.iter().filter(|id| post_of(id, count) == at).cloned().collect();
            tasks.spawn(post.run(own, stopping));
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a post came to grief: its webhooks are served after a restart");
            }
        }
        // It ends when no post is left to tell it anything.
        if log.await.is_err() {
            tracing::warn!("the log of webhooks' attempts came to grief");
        }
    })
}
