//! SEND: into the batch, or into an open transaction.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use outflow_broker::Part;
use outflow_hub::Stream;

use super::transaction::refused;
use super::{Outcomes, Session, Step, Work};
use crate::error::Failure;
use crate::translate::destination;
use crate::translate::letter::{Letter, Reading};
use crate::wire::Frame;

/// The failure of a SEND that does not say where it goes.
fn nowhere() -> Failure {
    Failure::malformed("SEND received without a Destination specified!")
}

impl Session {
    pub(super) fn send(&mut self, frame: &Frame<'_>) -> Outcomes {
        if self.batch.is_full() {
            return Ok(Step::Again(Work::Flush));
        }
        let rules = *self.rules.get_or_insert_with(|| self.face.hub.rules());
        let origin = self.subscriptions.any_no_local().then_some(self.name.as_str());
        let options = &self.face.options;
        let user = self.opened.as_ref().filter(|_| options.populate_user_id);
        let user = user.map(|opening| opening.user.as_str());
        let reading = Reading { rules: &rules, text_rule: options.text_rule, origin, user };
        let answered_here = Cell::new(false);
        let letter = Letter::read(frame, &reading, |reply_to| {
            let own = destination::globally(&reply_to, &self.name);
            answered_here.set(own.is_some());
            own.map_or(reply_to, Cow::Owned)
        })?;
        let spelling = letter.destination.trim();
        if spelling.is_empty() {
            return Err(nowhere());
        }
        let Some(streams) = self.targets.get(spelling)? else {
            return self.resolve(spelling);
        };
        if answered_here.get()
            && let Some(reply_to) = frame.header("reply-to")
            && !self.targets.knows(reply_to.trim())?
        {
            // The answer may be sent before the client subscribes to where it goes.
            return self.resolve(reply_to.trim());
        }
        let synced = letter.persistent || self.face.options.limits.all_durable;
        self.add(&letter, &streams, synced)?;
        self.sent += 1;
        Ok(Step::Done)
    }

    /// Looks at where a SEND goes whose body is still to come: what has to be asked for that, if anything.
    pub(super) fn address(&mut self, frame: &Frame<'_>) -> Result<Option<Step>, Failure> {
        let mut headers = frame.headers();
        let named = headers.find(|(name, value)| name == "destination" && !value.is_empty());
        let (_, spelling) = named.ok_or_else(nowhere)?;
        match self.targets.get(spelling.trim())? {
            Some(_) => Ok(None),
            None if spelling.trim().is_empty() => Err(nowhere()),
            None => self.resolve(spelling.trim()).map(Some),
        }
    }

    /// Asks for the streams of a spelling, for the same frame to go on with.
    fn resolve(&mut self, spelling: &str) -> Outcomes {
        let destinations = destination::parse(spelling, &self.name)?;
        let temporary = self.remember(&destinations)?;
        let spelling = spelling.to_owned();
        Ok(Step::Again(Work::Resolve { spelling, destinations, temporary }))
    }

    /// Adds the event to the batch, or to its transaction.
    fn add(
        &mut self,
        letter: &Letter<'_>,
        streams: &[Arc<Stream>],
        synced: bool,
    ) -> Result<(), Failure> {
        let rules = *self.rules.get_or_insert_with(|| self.face.hub.rules());
        let (event, rng) = (&letter.event, self.face.hub.rng());
        let receipt = letter.receipt.as_deref();
        if let Some(name) = letter.transaction.as_deref() {
            let added = self.transactions.publish(name, event, streams, &rules, rng);
            added.map_err(|refusal| refused(refusal, name))?;
            self.batch.answers.receipt(self.version, receipt, Part::Ready);
        } else {
            let part = self.batch.send(event, streams, synced, &rules, rng)?;
            self.batch.answers.sent(self.version, receipt, part, &self.batch.joint);
        }
        Ok(())
    }
}
