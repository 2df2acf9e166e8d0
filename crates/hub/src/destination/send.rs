//! Where what is sent to a destination goes.
//!
//! Called by [`Hub::send_targets`](crate::Hub::send_targets). What is missing is made: a queue's
//! subscription before its stream, so that it begins with the first event sent to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use outflow_model::{Action, Grant, ProjectId, StreamName, SubscriptionName};

use super::{DEAD_LETTERS, Destination, DestinationError, Kind, name, reach};
use crate::subscription::{NewSubscription, Source, Sources, Subscription, SubscriptionSettings};
use crate::{CatalogError, Dedup, Durability, Hub, NewStream, Start, Stream, StreamSettings};

/// For how long, and among how many, what a sender sends again is recognised.
const COPIES: Dedup = Dedup { window_ms: 10 * 60_000, max_ids: 100_000 };

type Found<T> = Result<T, DestinationError>;

impl Hub {
    /// The streams that an event sent to `destination` is to be published to; those missing are
    /// made, but of temporary destinations: whoever owns one has made it
    /// ([`Hub::make_temporary`]), and without an owner nobody would remove it.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub async fn send_targets(
        &self,
        grant: &Grant,
        destination: &Destination,
    ) -> Found<Vec<Arc<Stream>>> {
        reach::may(grant, Action::Publish, destination, &self.options().virtual_topics)?;
        if destination.has_wildcards() {
            return Err(DestinationError::Wildcard);
        }
        let project = reach::project(grant)?;
        let stream = name::of_stream(destination)?;
        if destination.kind.is_temporary() {
            let found = self.stream(project, &stream);
            return found
                .map(|found| vec![found])
                .ok_or_else(|| DestinationError::Gone(destination.to_string()));
        }
        let subscription = destination.kind.is_queue().then(|| name::of_queue(destination));
        let subscription = subscription.transpose()?;
        if let Some(found) = self.stream(project, &stream)
            && self.is_fed(project, destination, subscription.as_ref(), &stream)
        {
            return Ok(vec![found]);
        }
        self.make_room(grant, project, destination)?;
        if let Some(subscription) = subscription {
            let queue = self.ensure_queue(project, destination, subscription).await?;
            self.add_source(&queue, source(stream.clone(), Start::Earliest)).await?;
        }
        Ok(vec![self.ensure_stream(project, stream, destination.kind).await?])
    }

    /// The stream of this name for publishing, when a queue or topic of brokers' protocols has only
    /// consumers yet; it is made then, as a message sent there would make it. `None`: nobody
    /// consumes it by this name.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub async fn awaited_stream(
        &self,
        grant: &Grant,
        stream: &StreamName,
    ) -> Found<Option<Arc<Stream>>> {
        let project = reach::project(grant)?;
        let consumed = |one: &Arc<Subscription>| {
            name::is_brokers(one.name().as_str())
                && (one.name().as_str() == stream.as_str()
                    || matches!(&*one.shared_sources(), Sources::Streams(all)
                        if all.iter().any(|source| source.stream == *stream)))
        };
        let destination = lasting(stream);
        let Some(destination) =
            destination.filter(|_| self.subscriptions(project).iter().any(consumed))
        else {
            return Ok(None);
        };
        Ok(self.send_targets(grant, &destination).await?.into_iter().next())
    }

    /// Where an event goes that was to go to `stream`: if that was deleted since it was looked up, to what
    /// a message that is sent to its destination now goes to.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub async fn sent_to(&self, grant: &Grant, stream: &Arc<Stream>) -> Found<Arc<Stream>> {
        let gone = Some(stream).filter(|stream| stream.is_gone());
        let Some(destination) = gone.and_then(|gone| lasting(&gone.name)) else {
            return Ok(stream.clone());
        };
        let again = self.send_targets(grant, &destination).await?.into_iter().next();
        Ok(again.unwrap_or_else(|| stream.clone()))
    }

    /// Whether what is sent to `stream` reaches the queue it is of, if it is of one.
    fn is_fed(
        &self,
        project: &ProjectId,
        destination: &Destination,
        queue: Option<&SubscriptionName>,
        stream: &StreamName,
    ) -> bool {
        let Some(queue) = queue else { return true };
        let Some(queue) = self.subscription(project, queue.as_str()) else { return false };
        // Only a virtual queue can be there without the stream of its own among its sources.
        if self.options().virtual_topics.topic(&destination.name).is_none() {
            return true;
        }
        match queue.sources() {
            Sources::Streams(all) => all.iter().any(|source| source.stream == *stream),
            Sources::Matching { .. } => false,
        }
    }

    /// The subscription that a queue is; made when it is not there.
    pub(super) async fn ensure_queue(
        &self,
        project: &ProjectId,
        queue: &Destination,
        subscription: SubscriptionName,
    ) -> Found<Arc<Subscription>> {
        if let Some(found) = self.subscription(project, subscription.as_str()) {
            return Ok(found);
        }
        let fed_by = if queue.kind == Kind::Queue {
            self.options().virtual_topics.topic(&queue.name)
        } else {
            None
        };
        let (sources, owns) = match fed_by {
            Some(topic) => {
                let topic = Destination { kind: Kind::Topic, name: topic.to_owned() };
                (topic_sources(&[topic], Start::Latest)?, false)
            }
            None => {
                let own = source(name::of_stream(queue)?, Start::Earliest);
                (Sources::Streams(vec![own]), true)
            }
        };
        let mut settings = SubscriptionSettings {
            owns,
            group_by_key: true,
            dead_letter: dead_letters(queue)?,
            ..SubscriptionSettings::default()
        };
        if queue.kind == Kind::Queue && settings.dead_letter.is_some() {
            let defaults = self.options().destination_defaults;
            settings.max_deliveries = defaults.max_deliveries;
            settings.max_age = defaults.max_age;
            settings.idle_expiry = defaults.idle_expiry.filter(|_| !owns);
        }
        self.ensure_subscription(
            project,
            NewSubscription { name: subscription, sources, settings, durable: true },
        )
        .await
    }

    /// Makes a subscription, unless someone else was faster.
    pub(super) async fn ensure_subscription(
        &self,
        project: &ProjectId,
        new: NewSubscription,
    ) -> Found<Arc<Subscription>> {
        let name = new.name.clone();
        match self.create_subscription(project, new).await {
            Ok(made) => {
                tracing::info!(%project, subscription = %name, "made a subscription on first use");
                Ok(made)
            }
            Err(CatalogError::Exists) => self.subscription(project, name.as_str()).ok_or_else(gone),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn ensure_stream(
        &self,
        project: &ProjectId,
        name: StreamName,
        kind: Kind,
    ) -> Found<Arc<Stream>> {
        if let Some(found) = self.stream(project, &name) {
            return Ok(found);
        }
        let settings = self.settings_of_made(kind);
        match self.create_stream(project, NewStream { name: name.clone(), settings }).await {
            Ok(made) => {
                tracing::info!(%project, stream = %name, "made a stream on first use");
                Ok(made)
            }
            Err(CatalogError::Exists) => self.stream(project, &name).ok_or_else(gone),
            Err(error) => Err(error.into()),
        }
    }

    /// The settings of a stream that is made on first use.
    pub(crate) fn settings_of_made(&self, kind: Kind) -> StreamSettings {
        let mut settings = StreamSettings {
            // Of brokers' protocols only OpenWire's senders give ids of their own: what they send
            // again after a cut is a copy.
            dedup: Some(COPIES),
            ..StreamSettings::default()
        };
        match kind {
            Kind::Topic => {}
            Kind::Queue => settings.retention = self.options().queue_retention,
            Kind::TempQueue | Kind::TempTopic => {
                settings.durability = Durability::Relaxed;
                settings.dedup = None;
            }
        }
        settings
    }

    /// Whether a credential that is kept to destinations may make one more.
    pub(super) fn make_room(
        &self,
        grant: &Grant,
        project: &ProjectId,
        wanted: &Destination,
    ) -> Found<()> {
        let max = self.options().max_destinations;
        let Some(granted) = &grant.destinations else { return Ok(()) };
        if wanted.kind.is_temporary() {
            return Ok(());
        }
        // What it may reach is what it, or another credential of the same customer, made. A queue is a
        // stream and a subscription of one name, and counts once.
        let streams = self.streams(project);
        let sends = streams.iter().filter(|stream| {
            let one = Destination::of_stream(&stream.name);
            granted.sends(one.kind.granted(), &one.name)
        });
        let subscriptions = self.subscriptions(project);
        let consumes = subscriptions.iter().filter(|one| {
            reach::may_consume(grant, project, one.name(), &one.shared_sources()).is_ok()
        });
        let names = sends.map(|stream| stream.name.as_str());
        let all: BTreeSet<&str> = names.chain(consumes.map(|one| one.name().as_str())).collect();
        if all.len() < max { Ok(()) } else { Err(DestinationError::TooMany { max }) }
    }
}

/// Where dead events of a queue go; those of the dead letters themselves go nowhere.
fn dead_letters(queue: &Destination) -> Found<Option<StreamName>> {
    if queue.kind == Kind::Queue && queue.name == DEAD_LETTERS {
        return Ok(None);
    }
    dead_letter_stream().map(Some)
}

/// The stream of the queue of dead letters.
pub(super) fn dead_letter_stream() -> Found<StreamName> {
    name::of_stream(&Destination { kind: Kind::Queue, name: DEAD_LETTERS.to_owned() })
}

/// What topics, or paths with wildcards, stand for together.
pub(super) fn topic_sources(topics: &[Destination], start: Start) -> Found<Sources> {
    if topics.iter().any(Destination::has_wildcards) {
        return Ok(Sources::Matching { pattern: name::of_pattern(topics)?, start });
    }
    let mut all: Vec<Source> = Vec::with_capacity(topics.len());
    for topic in topics {
        let stream = name::of_stream(topic)?;
        if all.iter().all(|one| one.stream != stream) {
            all.push(source(stream, start));
        }
    }
    Ok(Sources::Streams(all))
}

pub(super) const fn source(stream: StreamName, start: Start) -> Source {
    Source { stream, start, filter: None }
}

/// The destination that a stream is of, if it is one that is made on first use.
fn lasting(stream: &StreamName) -> Option<Destination> {
    let destination = Destination::of_stream(stream);
    let is_it = !destination.kind.is_temporary()
        && !destination.has_wildcards()
        && name::of_stream(&destination).is_ok_and(|name| name == *stream);
    is_it.then_some(destination)
}

/// It was there, and is gone again: who asks once more makes it anew.
fn gone() -> DestinationError {
    DestinationError::Unavailable("deleted at the same moment".into())
}
