//! What of an integration says which events its endpoint may be sent: when that changes, what is held is looked at again.

use std::collections::BTreeSet;

use outflow_hub::Integration;

/// What says which events an endpoint may be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    event_types: Option<BTreeSet<String>>,
    send_location: bool,
    compliance: bool,
    filter: Option<String>,
}

impl Shown {
    pub(super) fn of(one: &Integration) -> Self {
        let filter = one.webhook.as_ref().and_then(|webhook| webhook.filter.clone());
        let Integration { send_location, compliance, .. } = *one;
        Self { event_types: one.event_types.clone(), send_location, compliance, filter }
    }
}
