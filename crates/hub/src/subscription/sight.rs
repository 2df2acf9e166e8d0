//! What a caller may see of a subscription's events, whichever way it asks for them.
//!
//! Made by [`Inner::may_consume`] and held by consumers, peeks, takes by name and browses.

use std::sync::Arc;

use outflow_model::subset::type_hash;
use outflow_model::{Action, Filter, Grant, Timestamp};

use super::{ConsumeError, EventView, Subscription};
use crate::destination::reach::may_consume;
use crate::hub::{Denied, Inner};
use crate::view::{COMPLIANCE, Entitlement, View};

/// What a view's look at an event takes at least, in steps, and at each byte for each question.
const FOR_A_VIEW: usize = 64;
const FOR_A_BYTE: usize = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct Sight {
    /// What its integration shows; `None`: everything that is not reserved.
    view: Option<View>,
    /// Whether it may see compliance events.
    may_comply: bool,
}

impl Sight {
    /// Whether each event must be looked into before it is known whether it is seen.
    pub(crate) const fn is_choosy(&self) -> bool {
        self.view.is_some()
    }

    /// Whether it shows events of the type that not everybody may see.
    pub(crate) const fn allows(&self, is_restricted: bool) -> bool {
        self.may_comply || !is_restricted
    }

    /// About how many steps it takes to tell whether it shows the event.
    pub(crate) fn cost(&self, event: &EventView) -> usize {
        self.view.as_ref().map_or(1, |view| FOR_A_BYTE * view.cost(event.line().len()) + FOR_A_VIEW)
    }

    /// Whether it shows the event.
    pub(crate) fn sees(&self, event: &EventView, now: Timestamp) -> bool {
        let is_restricted = event.meta().type_hash == type_hash(COMPLIANCE.as_bytes());
        let shows = |view: &View| view.passes(event.meta(), event.line(), now);
        self.allows(is_restricted) && self.view.as_ref().is_none_or(shows)
    }
}

impl Inner {
    /// Whether the grant reaches a subscription, and what it may see of its events.
    pub(crate) fn may_consume(
        &self,
        grant: &Grant,
        subscription: &Subscription,
    ) -> Result<Sight, ConsumeError> {
        let (project, name) = (subscription.project(), subscription.name());
        may_consume(grant, project, name, &subscription.shared_sources()).map_err(|denied| {
            match denied {
                Denied::NotFound => ConsumeError::NotFound,
                Denied::Forbidden => ConsumeError::Forbidden,
            }
        })?;
        // Whoever reaches a part of its project only must not reach others' answers by their names.
        let is_kept = grant.destinations.is_some() || grant.integration.is_some();
        if is_kept && self.temporary.is_of_another(grant, project, name.as_str()) {
            return Err(ConsumeError::Forbidden);
        }
        let Some(id) = &grant.integration else {
            let actions = &grant.actions;
            let may_comply =
                actions.contains(&Action::Compliance) || actions.contains(&Action::Operate);
            return Ok(Sight { view: None, may_comply });
        };
        let integration = self.catalog.read().integration(project, id);
        let integration = integration.ok_or(ConsumeError::Forbidden)?;
        let entitlement = Entitlement::of(grant, Some(&integration), None);
        let view = View::new(Arc::new(Filter::all()), None, &entitlement, None);
        let view = Some(view).filter(|view| !view.is_all());
        Ok(Sight { view, may_comply: integration.compliance })
    }
}
