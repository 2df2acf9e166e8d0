//! What the demonstration has for load and change feeds: a keyed stream of a company's billing.

use std::sync::Arc;

use outflow_generator::{BILLING_TYPES, BillingType};
use outflow_hub::{EntityType, EntityTypes, Hub, NewStream, Stream, StreamSettings};
use outflow_model::{ProjectId, StreamName};

use super::demonstration::{NAME, failed};
use crate::wiring::StartError;

/// The keyed stream.
pub(super) const BILLING: &str = "billing";

/// Makes the stream if it is missing.
pub(super) async fn ensure(hub: &Hub) -> Result<Arc<Stream>, StartError> {
    let project = ProjectId::new(NAME).map_err(|error| failed("project", &error))?;
    let name = StreamName::new(BILLING).map_err(|error| failed("stream", &error))?;
    let stream = match hub.stream(&project, &name) {
        Some(stream) => stream,
        None => {
            let types = EntityTypes::new(BILLING_TYPES.into_iter().map(entity_type).collect());
            let types = Arc::new(types.map_err(|error| failed("entity types", &error))?);
            let settings = StreamSettings {
                description: "Generated changes of a company's accounts, invoices and usage."
                    .into(),
                ..StreamSettings::keyed(types)
            };
            let made = hub.create_stream(&project, NewStream { name, settings }).await;
            made.map_err(|error| failed("stream", &error))?
        }
    };
    Ok(stream)
}

fn entity_type((name, key, other, group, depends_on): BillingType) -> EntityType {
    let keys = [Some(key), other].into_iter().flatten().map(|key| vec![key.to_owned()]).collect();
    EntityType {
        name: name.to_owned(),
        keys,
        group: Some(group.to_owned()),
        depends_on: depends_on.iter().map(|&other| other.to_owned()).collect(),
    }
}
