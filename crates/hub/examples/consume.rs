//! What a subscription costs an event: publishes, hands out and acks on the engine in memory.
//!
//! `cargo run --release -p outflow-hub --example consume [events] [consumers]` prints nanoseconds an
//! event, for batches as a pipelining client makes them.

use std::collections::BTreeSet;
use std::sync::Arc;

use outflow_hub::subscription::{
    ConsumerOptions, Delivered, NewSubscription, Settle, Source, Sources, SubscriptionSettings,
};
use outflow_hub::{Hub, NewStream, Options, Project, ProjectLimits, Start, StreamSettings};
use outflow_model::clock::SystemClock;
use outflow_model::draft::{Body, NewEvent};
use outflow_model::rng::SeededRng;
use outflow_model::{
    Action, CredentialId, Draft, Grant, ProjectId, StreamName, SubscriptionName, Timestamp,
};
use outflow_store::memory::MemoryEngine;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

const BATCH: u64 = 200;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument =
        |otherwise: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (events, consumers) = (argument(500_000), argument(1));
    let clock = Arc::new(SystemClock);
    let engine = Arc::new(MemoryEngine::new(clock.clone()));
    let rng = Arc::new(SeededRng::new(1));
    let hub = Hub::open(engine, clock, rng, Options::default(), &mut Registry::default()).await?;
    let (project, name) = (ProjectId::new("p")?, StreamName::new("s")?);
    hub.create_project(Project {
        id: project.clone(),
        name: String::new(),
        created: Timestamp::default(),
        basic_auth: false,
        default_stream: name.clone(),
        limits: ProjectLimits::default(),
    })
    .await?;
    let new = NewStream { name: name.clone(), settings: StreamSettings::default() };
    let stream = hub.create_stream(&project, new).await?;
    let grant = Grant {
        credential: CredentialId::new("c")?,
        generation: 0,
        expires: None,
        project: Some(project.clone()),
        integration: None,
        actions: Arc::new(BTreeSet::from([Action::Read, Action::Publish])),
        streams: None,
        destinations: None,
    };
    let source = Source { stream: name, start: Start::Earliest, filter: None };
    let new = NewSubscription {
        name: SubscriptionName::new("s")?,
        sources: Sources::Streams(vec![source]),
        settings: SubscriptionSettings::default(),
        durable: true,
    };
    let subscription = hub.create_subscription(&project, new).await?;
    let body = "x".repeat(200);
    let began = Instant::now();
    for _ in 0..events / BATCH {
        let mut draft = Draft::default();
        let headers = [("content-type", "text/plain")];
        let body = Body::Text(&body);
        let event = NewEvent {
            id: None,
            event_type: "E",
            occurred: None,
            key: None,
            headers: &headers,
            body,
        };
        for _ in 0..BATCH {
            draft.push(&event, &hub.rules(), hub.rng())?;
        }
        hub.enqueue(&grant, &stream, draft, None).await?.await?;
    }
    report("publish", began, events);
    let began = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..consumers {
        let mut all = hub.consumers(&grant);
        let id = all.add(&subscription, ConsumerOptions::default()).await?;
        let (hub, subscription) = (hub.clone(), subscription.clone());
        tasks.push(tokio::spawn(async move {
            while hub.subscription_stats(&subscription).backlog > 0 {
                let next = all.next(BATCH as usize);
                let Ok(next) =
                    tokio::time::timeout(std::time::Duration::from_millis(200), next).await
                else {
                    continue;
                };
                let Delivered::Events { events, .. } = next else { break };
                let answers: Vec<_> = events.iter().map(|one| Settle::Ack(one.lease)).collect();
                if let Ok(settling) = all.settle(id, &answers) {
                    // As a face does: the next events are not kept waiting for the disk.
                    drop(settling);
                }
            }
        }));
    }
    for task in tasks {
        task.await?;
    }
    report("consume and ack", began, events);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "its result")]
fn report(what: &str, began: Instant, events: u64) {
    let nanos = began.elapsed().as_nanos() / u128::from(events.max(1));
    println!("{what}: {nanos} ns an event");
}
