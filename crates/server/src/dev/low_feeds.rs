//! The demonstration's quiet feeds: a namespace of hashed addresses for brokers' clients, and a
//! company's notices for mailboxes. About one event a second each, however fast the main feed is.

use std::sync::Arc;
use std::time::Duration;

use outflow_auth::{Auth, Presented};
use outflow_generator::{HashedAddresses, Notices};
use outflow_hub::{Hub, Stream};
use outflow_model::draft::{Body, NewEvent};
use outflow_model::{Draft, ErrorCode, Grant};
use tokio::time::{MissedTickBehavior, interval};

use super::broker::Broker;
use super::demonstration::NAME;

const EVERY: Duration = Duration::from_secs(1);

/// Publishes until the task is aborted, a stream is gone or the server stops.
pub(super) async fn run(hub: Hub, auth: Auth, broker: Broker, seed: u64) {
    let Some(grant) = auth.authenticate(&Presented::Bearer { project: Some(NAME), token: NAME })
    else {
        tracing::error!("the generator's credential is not in force");
        return;
    };
    let mut addresses = HashedAddresses::new(seed);
    let mut notices = Notices::new(super::broker::COMPANY, seed);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
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
    match hub.publish(grant, stream, draft).await {
        Ok(_) => true,
        Err(error) if error.code() == ErrorCode::Unavailable => true,
        Err(error) => {
            tracing::warn!(%error, stream = %stream.name, "the generator stops");
            false
        }
    }
}
