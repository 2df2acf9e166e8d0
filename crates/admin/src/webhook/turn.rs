//! Whose turn it is to change a webhook.
//!
//! Called by [`change`](super::change). A change may wait for a disk and for the face, so it holds up
//! those of the same webhook only, and no other customer's.
//!
//! Invariant: what is kept is of webhooks that are being changed, and of no others for long.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use outflow_hub::webhook::WebhookId;
use parking_lot::Mutex;

/// Held by who changes a webhook.
type Turn = tokio::sync::Mutex<()>;

/// The turns that are taken or waited for.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<WebhookId, Weak<Turn>>>);

impl Turns {
    /// The turn of one webhook, to be locked: the same for all who have it at one time.
    pub(crate) fn of(&self, id: &WebhookId) -> Arc<Turn> {
        let mut turns = self.0.lock();
        if let Some(turn) = turns.get(id).and_then(Weak::upgrade) {
            return turn;
        }
        // There are no more of them than requests that change webhooks just now.
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(id.clone(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use outflow_model::{IntegrationId, ProjectId};

    use super::*;

    fn id(integration: &str) -> WebhookId {
        (ProjectId::new("p").unwrap(), IntegrationId::new(integration).unwrap())
    }

    #[tokio::test]
    async fn a_change_holds_up_those_of_its_webhook_and_no_others() {
        let turns = Turns::default();
        let slow = turns.of(&id("slow"));
        let held = slow.lock().await;
        let is_free = |integration| {
            let turn = turns.of(&id(integration));
            turn.try_lock().is_ok()
        };
        assert!(!is_free("slow") && is_free("other"));
        drop(held);
        assert!(is_free("slow"));
        drop(slow);
        for number in 0..100 {
            drop(turns.of(&id(&format!("i{number}"))));
        }
        assert_eq!(turns.0.lock().len(), 1, "what nobody has is not kept");
    }
}
