//! How old what waits is where nothing in memory tells: of endpoints that fail or are paused, and of
//! subscriptions that nobody uses. It is theirs that somebody is to be woken for.
//!
//! Filled by [`Hub::look_up_ages`](crate::Hub::look_up_ages) before metrics are shown, which cannot wait
//! for a read themselves; read by [`metrics`].
//!
//! Invariant: it is known of no more subscriptions than metrics show, and looked for in no more than
//! [`MAX_STREAMS`] streams of each.

use std::collections::HashMap;

use outflow_model::Timestamp;
use parking_lot::Mutex;

use super::{Subscription, SubscriptionId, metrics, oldest};
use crate::hub::Inner;

/// In how many streams of one subscription it is looked for: a block of each is read.
const MAX_STREAMS: usize = 8;

/// When the oldest events were taken that were looked up last.
#[derive(Debug, Default)]
pub(crate) struct Ages(Mutex<HashMap<SubscriptionId, Timestamp>>);

impl Ages {
    /// When the oldest event of a subscription was taken, as it was looked up last.
    pub(crate) fn of(&self, subscription: &Subscription) -> Option<Timestamp> {
        self.0.lock().get(&subscription.id()).copied()
    }
}

/// See [`Hub::look_up_ages`](crate::Hub::look_up_ages).
pub(crate) async fn look_up(inner: &Inner) {
    let mut found = HashMap::new();
    for (stats, subscription) in metrics::largest(inner) {
        if stats.backlog > 0 && stats.oldest.is_none() {
            let oldest = oldest::oldest_within(inner, &subscription, MAX_STREAMS).await;
            found.extend(oldest.map(|oldest| (subscription.id(), oldest)));
        }
    }
    *inner.subscriptions.ages.0.lock() = found;
}
