//! The demonstration's quiet feeds: a namespace of hashed addresses for brokers' clients, and a
//! company's notices for mailboxes, and a company's billing for load and change feeds. About one
//! event a second each, however fast the main feed is.

use std::sync::Arc;
use std::time::Duration;

use outflow_auth::{Auth, Presented};
use outflow_generator::{Billing, HashedAddresses, Notices};
use outflow_hub::{Hub, Stream};
use outflow_model::draft::{Body, NewEvent};
use outflow_model::{Draft, ErrorCode, Grant};
use tokio::time::{MissedTickBehavior, interval};

use super::broker::Broker;
use super::demonstration::NAME;

const EVERY: Duration = Duration::from_secs(1);
/// How many changes the company begins with.
const FIRST_CHANGES: usize = 100;

/// What is fed.
pub(super) struct Feeds {
    pub(super) broker: Broker,
    /// The keyed stream of the billing.
    pub(super) billing: Arc<Stream>,
}

/// Publishes until the task is aborted, a stream is gone or the server stops.
pub(super) async fn run(hub: Hub, auth: Auth, feeds: Feeds, seed: u64) {
    let Some(grant) = auth.authenticate(&Presented::Bearer { project: Some(NAME), token: NAME })
    else {
        tracing::error!("the generator's credential is not in force");
        return;
    };
    let mut addresses = HashedAddresses::new(seed);
    let Feeds { broker, billing } = feeds;
    let mut changes = Billing::new(seed);
    if !open_books(&hub, &grant, &billing, &mut changes).await {
        return;
    }
    let mut notices = Notices::new(super::broker::COMPANY, seed);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut draft = Draft::default();
        let change = changes.next_change().as_bytes();
        let pushed = draft.push_json(change, &hub.rules(), hub.rng());
        if pushed.is_err() || !publish_draft(&hub, &grant, &billing, draft).await {
            return;
        }
        let body = addresses.next_body().as_bytes();
        if !publish(&hub, &grant, &broker.namespace, "ADDRESS", body).await {
            return;
        }
        let (topic, body) = notices.next_notice();
        let Some(stream) = broker.topics.get(topic) else { continue };
        if !publish(&hub, &grant, stream, "ITASMessage", body.as_bytes()).await {
            return;
        }
    }
}

/// The company's first accounts, invoices and usage, and where there was none a first load of them.
async fn open_books(
    hub: &Hub,
    grant: &Grant,
    billing: &Arc<Stream>,
    changes: &mut Billing,
) -> bool {
    let mut draft = Draft::default();
    for _ in 0..FIRST_CHANGES {
        let change = changes.next_change().as_bytes();
        if draft.push_json(change, &hub.rules(), hub.rng()).is_err() {
            return false;
        }
    }
    let goes_on = publish_draft(hub, grant, billing, draft).await;
    if hub.load_stream(&billing.project).is_none()
        && let Err(error) = hub.start_extraction(billing, &[], &[]).await
    {
        tracing::warn!(%error, "the first load was not started");
    }
    goes_on
}

/// Publishes one event; says whether it is worth going on.
async fn publish(
    hub: &Hub,
    grant: &Grant,
    stream: &Arc<Stream>,
    event_type: &str,
    body: &[u8],
) -> bool {
    let event = NewEvent {
        id: None,
        event_type,
        occurred: None,
        key: None,
        headers: &[],
        body: Body::Json(body),
    };
    let mut draft = Draft::default();
    if let Err(error) = draft.push(&event, &hub.rules(), hub.rng()) {
        tracing::error!(%error, "the generator made an event that is not acceptable");
        return false;
    }
    publish_draft(hub, grant, stream, draft).await
}

async fn publish_draft(hub: &Hub, grant: &Grant, stream: &Arc<Stream>, draft: Draft) -> bool {
    match hub.publish(grant, stream, draft).await {
        Ok(_) => true,
        Err(error) if error.code() == ErrorCode::Unavailable => true,
        Err(error) => {
            tracing::warn!(%error, stream = %stream.name, "the generator stops");
            false
        }
    }
}
