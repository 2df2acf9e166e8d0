//! The calls about subscribers: Register and Unregister, and whose a subscriber is.

use std::sync::Arc;

use outflow_hub::{Subscriber, Subscription};
use outflow_model::{Action, ErrorCode, Timestamp};
use serde_json::json;

use super::{Answer, Face, created, may_read};
use crate::authenticate::Caller;
use crate::error::Refusal;
use crate::translate::{mailbox_name, owner, subscriber_id};
use crate::wire::{Grammar, Guid};

/// A subscriber that is the caller's.
pub(crate) struct Own {
    pub(super) id: Guid,
    pub(super) record: Subscriber,
}

impl Face {
    /// The same name leads its owner to the same subscriber, so that a client whose answer was
    /// lost, or that forgot its id, registers again.
    pub(super) async fn register(
        &self,
        caller: &Caller,
        grammar: Grammar,
        name: String,
    ) -> Result<Answer, Refusal> {
        may_read(caller)?;
        let id = subscriber_id(&caller.project, &name);
        let known = self.hub.subscriber(&caller.project, &id.to_string()).await?;
        let is_new = known.is_none();
        let record = match known {
            Some(record) => record,
            None => {
                let new = Subscriber {
                    project: caller.project.clone(),
                    id: id.to_string(),
                    name,
                    owner: owner(&caller.grant),
                    created: Timestamp::default(),
                };
                self.hub.register_subscriber(new).await?
            }
        };
        if !is_callers(caller, &record) {
            let detail = "the name belongs to another client; choose another";
            return Err(Refusal::new(ErrorCode::Conflict, detail));
        }
        let status = created(grammar == Grammar::V2 && is_new);
        let name = &record.name;
        let body = json!({"SubscriberId": id.to_string(), "Name": name, "ServiceResult": null});
        Answer::with(status, &body)
    }

    pub(super) async fn unregister(
        &self,
        caller: &Caller,
        subscriber: Guid,
    ) -> Result<Answer, Refusal> {
        let _turn = self.turns.of(subscriber).await;
        let own = self.own(caller, subscriber).await?;
        // The mailbox first: without its subscriber nobody could reach it.
        if let Some(mailbox) = self.find_mailbox(caller, &own)? {
            self.hub.delete_subscription(&mailbox).await?;
        }
        self.hub.delete_subscriber(&caller.project, &own.record.id).await?;
        let name = &own.record.name;
        Answer::ok(&json!({"SubscriberId": own.record.id, "Name": name, "ServiceResult": null}))
    }

    /// The subscriber with this id, if it is the caller's.
    pub(super) async fn own(&self, caller: &Caller, id: Guid) -> Result<Own, Refusal> {
        may_read(caller)?;
        let found = self.hub.subscriber(&caller.project, &id.to_string()).await?;
        let record = found.filter(|record| is_callers(caller, record));
        record.map(|record| Own { id, record }).ok_or_else(|| Refusal::missing("subscriber"))
    }

    pub(super) fn find_mailbox(
        &self,
        caller: &Caller,
        own: &Own,
    ) -> Result<Option<Arc<Subscription>>, Refusal> {
        Ok(self.hub.subscription(&caller.project, mailbox_name(own.id)?.as_str()))
    }

    /// The subscriber's mailbox. It is not there before the first Subscribe, nor after it has
    /// timed out.
    pub(super) fn mailbox(&self, caller: &Caller, own: &Own) -> Result<Arc<Subscription>, Refusal> {
        self.find_mailbox(caller, own)?.ok_or_else(|| {
            let detail = "the subscriber has no mailbox, or it has timed out; subscribe to a topic";
            Refusal::new(ErrorCode::NotFound, detail)
        })
    }
}

/// Whether a subscriber is the caller's: its own, or its project's to manage, so that no mailbox
/// is out of reach once a credential has been replaced.
fn is_callers(caller: &Caller, record: &Subscriber) -> bool {
    record.owner == owner(&caller.grant) || caller.grant.allows(Action::Manage, &caller.project)
}
