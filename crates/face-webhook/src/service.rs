//! The face as others see it: begun by `server`, asked by `admin`.
//!
//! Each endpoint belongs to one of a few posts, by the hash of its name. What is asked goes to that
//! post and comes back from it.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use outflow_auth::{Auth, SystemRng};
use outflow_hub::webhook::attempt::{AttemptPage, AttemptQuery};
use outflow_hub::webhook::{Asking, WebhookId};
use outflow_hub::{
    CatalogError, Hub, Webhook, WebhookAnswer, WebhookError, WebhookFault, WebhookKey,
    WebhookStatus, Webhooks,
};
use outflow_model::id::NameError;
use outflow_model::{Action, CredentialId, Grant, Offset};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::attempt::Transport;
use crate::attempts::{self, Log};
use crate::metrics::Metrics;
use crate::options::Options;
use crate::post::{Command, Post, Resend, Shared};
use crate::settings;

/// How many commands may wait for a post.
const COMMANDS: usize = 1_024;
/// How long a post that came to grief pauses before it begins again.
const RECOVERY: Duration = Duration::from_secs(1);

/// The ways to the posts. One that is begun again has a new one.
type Posts = [Mutex<mpsc::Sender<Command>>];

/// What `admin` asks. See the module.
struct Service {
    hub: Hub,
    options: Arc<Options>,
    posts: Arc<Posts>,
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
        let post = self.posts.get(post_of(id, self.posts.len())).map(|post| post.lock().clone());
        if let Some(post) = post {
            // A post that has stopped needs to know nothing any more; one that begins looks at all.
            let _ = post.send(command).await;
        }
    }
}

impl Webhooks for Service {
    fn check(&self, webhook: &Webhook, headers: &[(String, String)]) -> Result<(), WebhookFault> {
        settings::check(&self.options, webhook, headers)
    }

    fn secret(
        &self,
        style: &str,
        key: Option<WebhookKey>,
        given: Option<&str>,
    ) -> Result<String, WebhookFault> {
        settings::secret(&SystemRng, style, key, given)
    }

    fn public_key(&self, style: &str, secret: &str) -> Option<String> {
        settings::public_key(style, secret)
    }

    fn changed<'a>(&'a self, id: &'a WebhookId, anew: bool) -> Asking<'a, ()> {
        Box::pin(async move {
            // Who made it may read at once what comes of it. It can also be made later.
            let _ = attempts::stream(&self.hub, id, &self.options).await;
            self.send(id, Command::Changed(id.clone(), anew)).await;
            Ok(())
        })
    }

    fn prepare<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, ()> {
        Box::pin(async move {
            let made = attempts::prepare(&self.hub, id, &self.options).await;
            made.map_err(|error| refused(&error))
        })
    }

    fn moving<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, ()> {
        Box::pin(self.ask(id, Command::Moving))
    }

    fn moved<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, ()> {
        Box::pin(async move {
            self.send(id, Command::Moved(id.clone())).await;
            Ok(())
        })
    }

    fn reopened<'a>(&'a self, id: &'a WebhookId, from: Offset) -> Asking<'a, ()> {
        Box::pin(async move {
            self.send(id, Command::Reopened(id.clone(), from)).await;
            Ok(())
        })
    }

    fn retry<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, ()> {
        Box::pin(self.ask(id, Command::Retry))
    }

    fn status<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, WebhookStatus> {
        Box::pin(self.ask(id, Command::Status))
    }

    fn attempts<'a>(&'a self, id: &'a WebhookId, query: AttemptQuery) -> Asking<'a, AttemptPage> {
        Box::pin(async move {
            let page = attempts::page::page(&self.hub, id, &query).await;
            page.map_err(|error| refused(&error))
        })
    }

    fn resend<'a>(&'a self, id: &'a WebhookId, message: &'a str) -> Asking<'a, WebhookAnswer> {
        Box::pin(async move {
            // Before anything is looked for, which is more work than the request.
            let permit = self.ask(id, Command::ByHand).await?;
            let sent = attempts::page::find(&self.hub, id, message).await;
            let sent = sent.map_err(|error| refused(&error))?.ok_or(WebhookError::NoMessage)?;
            let found = self.hub.endpoint_events(id, &sent.offsets).await;
            let (stream, events) = found.map_err(|error| refused(&error))?;
            let (message, size) = (message.to_owned(), sent.size);
            let again = Resend { stream, events, message, size, permit };
            self.ask(id, |id, answer| Command::Resend(id, again, answer)).await
        })
    }

    fn test<'a>(&'a self, id: &'a WebhookId) -> Asking<'a, WebhookAnswer> {
        Box::pin(self.ask(id, Command::Test))
    }
}

/// Why the hub did not give what was to be sent.
fn refused(error: &CatalogError) -> WebhookError {
    match error {
        CatalogError::NotFound => WebhookError::NotFound,
        CatalogError::Invalid(_) => WebhookError::NoMessage,
        error => {
            tracing::warn!(%error, "what a webhook was sent cannot be read");
            WebhookError::Unavailable
        }
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
    F: Fn() -> S + Send + Sync + 'static,
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
    let (posts, commands): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::channel(COMMANDS)).unzip();
    let posts: Arc<Posts> = posts.into_iter().map(Mutex::new).collect();
    hub.set_webhooks(Arc::new(Service { hub: hub.clone(), options, posts: Arc::clone(&posts) }));
    let stopping = Arc::new(stopping);
    Ok(async move {
        let log = tokio::spawn(writing);
        // Each is a task, so that all cores serve them.
        let mut tasks = JoinSet::new();
        for (at, commands) in commands.into_iter().enumerate() {
            let mut commands = Some(commands);
            let (shared, posts, stopping) = (shared.clone(), posts.clone(), stopping.clone());
            tasks.spawn(keep_running(move || {
                let commands = commands.take().unwrap_or_else(|| anew(&posts, at));
                let post = Post::new(shared.clone(), commands);
                // After it is there to be told of changes: none is missed.
                post.run(endpoints(&shared.hub, at, count), stopping())
            }));
        }
        drop(shared);
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "webhooks are served no more");
            }
        }
        // It ends when no post is left to tell it anything.
        if log.await.is_err() {
            tracing::warn!("the log of webhooks' attempts came to grief");
        }
    })
}

/// A new way to the post `at`, which the last one went away with.
fn anew(posts: &Posts, at: usize) -> mpsc::Receiver<Command> {
    let (send, commands) = mpsc::channel(COMMANDS);
    if let Some(post) = posts.get(at) {
        *post.lock() = send;
    }
    commands
}

/// The endpoints that the post `at` of so many serves.
fn endpoints(hub: &Hub, at: usize, count: usize) -> Vec<WebhookId> {
    let ids = hub.endpoints().into_iter().map(|one| (one.project.clone(), one.id.clone()));
    ids.filter(|id| post_of(id, count) == at).collect()
}

/// Runs what `begin` gives, again when it comes to grief: what it held goes back to the hub with it.
async fn keep_running<F>(mut begin: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        // Ends with this future, as a task by itself would not.
        let mut run = JoinSet::new();
        run.spawn(begin());
        match run.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                tracing::error!(%error, "a post of webhooks came to grief; it begins again");
                sleep(RECOVERY).await;
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_to_grief_is_begun_again_and_what_ends_is_not() {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        keep_running(move || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            async move { assert!(number == 2, "the {number}th comes to grief") }
        })
        .await;
        assert_eq!(begun.load(Ordering::Relaxed), 3);
    }
}
