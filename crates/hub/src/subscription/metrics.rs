//! What subscriptions count, and how the largest stand.
//!
//! Single subscriptions are shown by name when metrics are asked for, and no more than
//! [`MAX_SHOWN`] of them: those with the largest backlogs.

use std::fmt;
use std::sync::{Arc, Weak};

use outflow_model::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::{Subscription, SubscriptionStats};
use crate::hub::Inner;

/// How many subscriptions are shown.
const MAX_SHOWN: usize = 100;

/// Counters over all subscriptions. Clones count into the same ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct SubscriptionMetrics {
    pub(crate) consumers: Gauge,
    pub(crate) delivered: Counter,
    pub(crate) settled: Counter,
    pub(crate) dead: Counter,
    pub(crate) lost: Counter,
    pub(crate) forgotten: Counter,
    pub(crate) idle_warned: Counter,
    pub(crate) idle_expired: Counter,
}

impl SubscriptionMetrics {
    /// Enters them into `registry`, under `outflow_`.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("outflow");
        registry.register("consumers", "Consumers now", metrics.consumers.clone());
        let counters = [
            ("deliveries", "Events handed to consumers", &metrics.delivered),
            ("settlements", "Writes of consumers' answers", &metrics.settled),
            ("dead_letters", "Events copied to dead letters", &metrics.dead),
            ("events_lost", "Events that went before they were settled", &metrics.lost),
            ("events_forgotten", "Events that wait and must be read again", &metrics.forgotten),
            ("idle_warnings", "Subscriptions about to expire unused", &metrics.idle_warned),
            ("idle_expiries", "Subscriptions deleted unused", &metrics.idle_expired),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        metrics
    }
}

/// The largest subscriptions, looked up when asked.
pub(crate) struct Largest(pub(crate) Weak<Inner>);

impl fmt::Debug for Largest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Largest(..)")
    }
}

/// The subscriptions that are shown, and how they stand.
pub(super) fn largest(inner: &Inner) -> Vec<(SubscriptionStats, Arc<Subscription>)> {
    let all = inner.subscriptions.directory.read().all();
    let mut shown: Vec<_> = all.into_iter().map(|one| (one.stats(inner), one)).collect();
    let by_backlog = |(stats, _): &(SubscriptionStats, _)| std::cmp::Reverse(stats.backlog);
    if shown.len() > MAX_SHOWN {
        shown.select_nth_unstable_by_key(MAX_SHOWN, by_backlog);
        shown.truncate(MAX_SHOWN);
    }
    shown
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// How old the oldest event is, in seconds. What is not known is not said to be 0: an alert would sleep.
fn age(stats: &SubscriptionStats, now: Timestamp) -> Option<i64> {
    let age = |at: Timestamp| now.millis().saturating_sub(at.millis()).max(0) / 1_000;
    if stats.backlog == 0 { Some(0) } else { stats.oldest.map(age) }
}

impl Collector for Largest {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(inner) = self.0.upgrade() else { return Ok(()) };
        let mut shown = largest(&inner);
        for (stats, one) in &mut shown {
            stats.oldest = stats.oldest.or_else(|| inner.subscriptions.ages.of(one));
        }
        let now = inner.clock.now();
        type Value = fn(&SubscriptionStats, Timestamp) -> Option<i64>;
        let families: [(&str, &str, Value); 4] = [
            ("backlog", "Events not settled, of the largest backlogs", |stats, _| {
                Some(number(stats.backlog))
            }),
            ("oldest_age_seconds", "Age of the oldest of them, where known", age),
            ("in_flight", "Events that consumers hold", |stats, _| Some(number(stats.in_flight))),
            ("redelivered", "Events handed out again", |stats, _| Some(number(stats.redelivered))),
        ];
        for (name, help, value) in families {
            let name = format!("outflow_subscription_{name}");
            let kind = prometheus_client::metrics::MetricType::Gauge;
            let mut family = encoder.encode_descriptor(&name, help, None, kind)?;
            for (stats, one) in &shown {
                let labels =
                    [("project", one.project().as_str()), ("subscription", one.name().as_str())];
                let Some(value) = value(stats, now) else { continue };
                let gauge = ConstGauge::new(value);
                gauge.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
