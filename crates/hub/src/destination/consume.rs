//! What a consumer of a destination consumes from.
//!
//! Called by [`Hub::consume_targets`](crate::Hub::consume_targets). A queue has one subscription
//! for all of its consumers, a topic one for each of its subscribers.

use std::sync::Arc;

use outflow_model::destination::covers;
use outflow_model::{Action, Grant, ProjectId, SubscriptionName};
use tokio::sync::watch;

use super::send::{dead_letter_stream, topic_sources};
use super::{Destination, DestinationError, Kind, name, reach};
use crate::subscription::{NewSubscription, Sources, Subscription, SubscriptionSettings};
use crate::{CatalogError, Hub, Selector, Start};

type Found<T> = Result<T, DestinationError>;

/// What a consumer asks for besides the destination.
#[derive(Debug, Clone, Default)]
pub struct ConsumeWish {
    /// Of a topic: the client's id and the subscriber's name under which a place is kept.
    pub durable: Option<(String, String)>,
    /// Of a topic: which events the subscriber gets. A queue's consumers choose for themselves.
    pub selector: Option<Selector>,
    /// Of a topic: begin with what is retained, not with what comes.
    pub retroactive: bool,
    /// Of a durable subscriber: whether it wants none of its own connection's events.
    pub no_local: bool,
}

impl Hub {
    /// The subscriptions that a consumer of `destination` is to consume from; those missing are
    /// made. A queue with wildcards gives all that there are now, and may give none: who wants those
    /// to come as well asks again whenever [`Hub::queues_made`] changes.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub async fn consume_targets(
        &self,
        grant: &Grant,
        destination: &Destination,
        wish: &ConsumeWish,
    ) -> Found<Vec<Arc<Subscription>>> {
        if wish.durable.is_some() && destination.kind != Kind::Topic {
            return Err(DestinationError::Durable("only a topic has durable subscribers"));
        }
        let rules = &self.options().virtual_topics;
        reach::may(grant, Action::Read, destination, rules)?;
        let project = reach::project(grant)?;
        if destination.kind.is_queue() {
            if destination.has_wildcards() && rules.topic(&destination.name).is_none() {
                return Ok(self.queues(project, &destination.name));
            }
            let queue = name::of_queue(destination)?;
            if let Some(found) = self.subscription(project, queue.as_str()) {
                return Ok(vec![found]);
            }
            self.make_room(grant, project, destination)?;
            return Ok(vec![self.ensure_queue(project, destination, queue).await?]);
        }
        let topics = std::slice::from_ref(destination);
        if wish.durable.is_some() {
            return Ok(vec![self.durable_target(grant, topics, wish).await?]);
        }
        let new = self.of_topics(grant, topics, wish)?;
        Ok(vec![self.create_subscription(project, new).await?])
    }

    /// The subscription of a durable subscriber of `topics`, whose place is one over all of them; it
    /// is made if it is missing, and made anew if it was of others.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub async fn durable_target(
        &self,
        grant: &Grant,
        topics: &[Destination],
        wish: &ConsumeWish,
    ) -> Found<Arc<Subscription>> {
        if topics.iter().any(|one| one.kind != Kind::Topic) {
            return Err(DestinationError::Durable("only a topic has durable subscribers"));
        }
        let rules = &self.options().virtual_topics;
        topics.iter().try_for_each(|one| reach::may(grant, Action::Read, one, rules))?;
        let project = reach::project(grant)?;
        let new = self.of_topics(grant, topics, wish)?;
        if let Some(found) = self.subscription(project, new.name.as_str()) {
            if is_alike(&found, &new) {
                return Ok(found);
            }
            // As brokers do, asking for something else begins anew.
            self.delete_unused(&found).await?;
        } else if let Some(first) = topics.first() {
            self.make_room(grant, project, first)?;
        }
        self.ensure_subscription(project, new).await
    }

    /// Changes with every queue that is made in the credential's project; never where it has none.
    #[must_use]
    pub fn queues_made(&self, grant: &Grant) -> Option<watch::Receiver<u64>> {
        let project = grant.project.as_ref()?;
        Some(self.inner().subscriptions.queues_to_come(project))
    }

    /// Deletes the place of a durable subscriber; says whether there was one.
    ///
    /// # Errors
    /// [`DestinationError`]; `InUse` while it has a consumer.
    pub async fn delete_durable(&self, grant: &Grant, client: &str, name: &str) -> Found<bool> {
        let project = reach::project(grant)?;
        if !grant.allows(Action::Read, project) {
            return Err(DestinationError::Forbidden);
        }
        let subscription = durable(grant, client, name)?;
        let Some(found) = self.subscription(project, subscription.as_str()) else {
            return Ok(false);
        };
        self.delete_unused(&found).await?;
        Ok(true)
    }

    async fn delete_unused(&self, subscription: &Arc<Subscription>) -> Found<()> {
        if subscription.is_in_use() {
            return Err(DestinationError::InUse);
        }
        match self.delete_subscription(subscription).await {
            Ok(()) | Err(CatalogError::NotFound) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The queues there are now whose names `path` stands for.
    fn queues(&self, project: &ProjectId, path: &str) -> Vec<Arc<Subscription>> {
        let mut all = self.subscriptions(project);
        all.retain(|one| {
            Destination::of_subscription(one)
                .is_some_and(|queue| queue.kind == Kind::Queue && covers(path, &queue.name))
        });
        all
    }

    /// The subscription of a subscriber of topics.
    fn of_topics(
        &self,
        grant: &Grant,
        topics: &[Destination],
        wish: &ConsumeWish,
    ) -> Found<NewSubscription> {
        let start = if wish.retroactive { Start::Earliest } else { Start::Latest };
        let sources = topic_sources(topics, start)?;
        let name = match &wish.durable {
            Some((client, name)) => durable(grant, client, name)?,
            None => passing(self.rng().next_u64())?,
        };
        let defaults = self.options().destination_defaults;
        // Whoever keeps no place leaves nothing behind.
        let defaults = wish.durable.as_ref().map(|_| defaults).unwrap_or_default();
        let settings = SubscriptionSettings {
            selector: wish.selector.clone(),
            dead_letter: Some(dead_letter_stream()?),
            max_deliveries: defaults.max_deliveries,
            max_age: defaults.max_age,
            idle_expiry: defaults.idle_expiry,
            no_local: wish.no_local,
            ..SubscriptionSettings::default()
        };
        Ok(NewSubscription { name, sources, settings, durable: wish.durable.is_some() })
    }
}

/// The name of a durable subscriber's subscription. Customers that share a project may choose the
/// same ids, so each of them has names of its own.
fn durable(grant: &Grant, client: &str, name: &str) -> Found<SubscriptionName> {
    if client.is_empty() || name.is_empty() {
        return Err(DestinationError::Durable("a durable subscriber has a client id and a name"));
    }
    let owner = grant.destinations.as_ref().map(|_| grant.credential.as_str());
    name::of_durable(owner, client, name)
}

/// A name for what is gone with its consumer.
fn passing(number: u64) -> Found<SubscriptionName> {
    SubscriptionName::new(&format!("{}{number:016x}", name::PASSING))
        .map_err(|error| DestinationError::Unavailable(error.to_string()))
}

/// Whether a durable subscriber asks for what it asked for before.
fn is_alike(found: &Subscription, new: &NewSubscription) -> bool {
    let same_sources = match (&found.sources(), &new.sources) {
        (Sources::Streams(old), Sources::Streams(new)) => {
            old.iter().map(|one| &one.stream).eq(new.iter().map(|one| &one.stream))
        }
        (Sources::Matching { pattern: old, .. }, Sources::Matching { pattern: new, .. }) => {
            old == new
        }
        _ => false,
    };
    let (old, new) = (found.settings(), &new.settings);
    same_sources && old.selector == new.selector && old.no_local == new.no_local
}
