//! Messages from producers: into the batch, or into an open transaction.

use std::sync::Arc;

use outflow_broker::Part;
use outflow_broker::letter::Numbered;

use super::transaction::refused;
use super::{Asked, Outcomes, Session, Step, Work, bound};
use crate::error::Failure;
use crate::translate::{destination, id, letter};
use crate::wire::{Content, Message, TransactionId, WireStr};

/// What a message counts for in its producer's window besides its content (reference `activemq.md`
/// a5, Producer flow control: 2,028 bytes for a text of 1,000).
const MESSAGE_BYTES: usize = 1024;

impl Session {
    pub(super) fn send(&mut self, message: &Message, asked: Asked) -> Outcomes {
        if self.batch.is_full() {
            return Ok(Step::Again(Work::Flush));
        }
        let Some(to) = message.destination.as_ref().filter(|to| !to.name().is_empty()) else {
            return Err(Failure::malformed("A message needs a destination"));
        };
        let Some(streams) = self.targets.get(to)? else {
            bound::destination(to)?;
            let (spelling, destinations) = (to.clone(), destination::read(to)?);
            let temporary = Vec::new();
            return Ok(Step::Again(Work::Resolve { spelling, destinations, temporary }));
        };
        let rules = *self.rules.get_or_insert_with(|| self.face.hub.rules());
        let connection = self.opened.as_ref().map(|opened| WireStr::clone(&opened.connection));
        let origin = connection.as_deref().filter(|_| self.subscriptions.any_no_local());
        let mut letter = letter::read(message, &rules, origin)?;
        letter.number = self.numbered(message, letter.id.as_deref());
        let face = Arc::clone(&self.face);
        let rng = face.hub.rng();
        let part = if let Some(id) = &message.transaction_id {
            let added = self.transactions.publish(id, &letter, &streams, &rules, rng);
            added.map_err(|refusal| refused(refusal, id))?;
            Part::Ready
        } else {
            let synced = message.persistent || face.options.limits.all_durable;
            self.batch.send(&letter, &streams, synced, &rules, rng)?
        };
        self.batch.answers.add(asked, part);
        self.sent += 1;
        Ok(Step::Done)
    }

    /// Whether the message's number tells whether it was sent before, as ActiveMQ has it: that of a
    /// producer's persistent message does, and one that comes on a connection that its client has made
    /// anew may be a copy (`ProducerBrokerExchange.canDispatch`). Branches of distributed transactions
    /// end in any order.
    fn numbered(&self, message: &Message, id: Option<&str>) -> Option<Numbered> {
        let is_of_branch = matches!(message.transaction_id, Some(TransactionId::Xa(_)));
        if !message.persistent || is_of_branch || !id.is_some_and(id::is_numbered) {
            return None;
        }
        let opened = self.opened.as_ref()?;
        Some(Numbered::by(opened.grant.credential.as_str(), opened.is_again))
    }

    /// Who is answered: a producer with a window gets it back for what it does not wait for.
    pub(super) fn with_window(&self, message: &Message, asked: Asked) -> Asked {
        let Some(producer) = message.producer_id.as_ref().filter(|_| !message.response_required)
        else {
            return asked;
        };
        if self.producers.get(producer).is_none_or(|window| *window <= 0) {
            return asked;
        }
        let content = message.content.as_ref().map_or(0, Content::len);
        let properties = message.marshalled_properties.as_ref().map_or(0, bytes::Bytes::len);
        let size = MESSAGE_BYTES + content + properties;
        asked.with_window(producer.clone(), i32::try_from(size).unwrap_or(i32::MAX))
    }
}
