//! RemoveInfo and RemoveSubscriptionInfo.

use outflow_broker::{About, Seen};
use outflow_hub::subscription::LeaseId;
use outflow_model::ErrorCode;

use super::subscription::Own;
use super::{Asked, Outcomes, Session, Step, Work};
use crate::error::Failure;
use crate::wire::{Identity, RemoveInfo, RemoveSubscriptionInfo};

/// The client does not know what its consumer has seen.
const UNKNOWN: i64 = -2;
/// The first version whose clients say what a consumer has seen.
const SAYS_SEEN: u8 = 5;

impl Session {
    /// A consumer, producer, session or the connection ends.
    pub(super) fn remove(&mut self, info: &RemoveInfo, asked: Asked) -> Outcomes {
        let mut missing = None;
        if let Some(identity) = &info.object_id {
            self.say_goodbye(identity);
        }
        let numbers: Vec<u32> = match &info.object_id {
            Some(Identity::ConsumerId(id)) => {
                let number = self.number(id);
                missing = (number.is_none() && !self.advised.has(id)).then_some("a consumer");
                self.unadvise(|known| known == id);
                number.into_iter().collect()
            }
            Some(Identity::ProducerId(id)) => {
                missing = self.producers.remove(id).is_none().then_some("a producer");
                Vec::new()
            }
            Some(Identity::SessionId(id)) => {
                missing = (!self.sessions.remove(&id.value)).then_some("a session");
                self.producers.retain(|producer, _| producer.session_id != id.value);
                self.unadvise(|known| known.session_id == id.value);
                let of = |own: &Own| own.id.session_id == id.value;
                let all = self.subscriptions.iter().filter(|(_, one)| of(&one.own));
                all.map(|(number, _)| number).collect()
            }
            Some(Identity::ConnectionId(_)) => {
                self.producers.clear();
                self.sessions.clear();
                self.unadvise(|_| true);
                self.subscriptions.iter().map(|(number, _)| number).collect()
            }
            _ => Vec::new(),
        };
        // A client that does not wait for the answer wants it gone, and it is.
        if let Some(what) = missing.filter(|_| asked.is_wanted()) {
            let message = format!("Cannot remove {what} that had not been registered");
            return Err(Failure::new(ErrorCode::NotFound, message).about(About::Unregistered));
        }
        let seen = match info.last_delivered_sequence_id {
            UNKNOWN => Seen::Unknown,
            _ if self.version < SAYS_SEEN => Seen::Unknown,
            last => Seen::Through(u64::try_from(last).ok().map(LeaseId)),
        };
        let mut consumers = Vec::new();
        for removed in numbers.into_iter().filter_map(|number| self.subscriptions.remove(number)) {
            self.numbers.remove(&removed.own.id);
            consumers.extend(removed.consumers.into_iter().map(|one| (one, seen)));
        }
        self.recount();
        Ok(Step::Then(Work::Remove { consumers, durable: None, asked }))
    }

    /// A durable subscription is deleted.
    pub(super) fn delete_durable(&self, info: &RemoveSubscriptionInfo, asked: Asked) -> Outcomes {
        let Some(name) = info.subscription_name.as_deref().filter(|name| !name.is_empty()) else {
            return Err(Failure::malformed("A durable subscription needs a name"));
        };
        let own = self.opened.as_ref().map_or("", |opened| &opened.client);
        let client = info.client_id.as_deref().filter(|client| !client.is_empty()).unwrap_or(own);
        let durable = Some((Some(client.to_owned()), name.to_owned()));
        Ok(Step::Then(Work::Remove { consumers: Vec::new(), durable, asked }))
    }
}
