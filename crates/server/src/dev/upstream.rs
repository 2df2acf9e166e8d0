//! What an upstream system needs to send to the demonstration: two ingest streams and a token.

use std::collections::BTreeSet;
use std::time::Duration;

use outflow_auth::{Auth, NewApiKey, Scope, Secret};
use outflow_hub::{Hub, Ingest, IngestFormat, IngestMode, NewStream, StreamSettings};
use outflow_model::{ProjectId, StreamName};

use super::demonstration::{NAME, failed};
use crate::wiring::StartError;

/// The stream that takes JSON.
pub(super) const JSON: &str = "is-SampleJson";
/// The stream that takes XML.
pub(super) const XML: &str = "is-SampleXml";
/// The name of the API key.
const KEY: &str = "Demonstration";
/// How long a token is good for.
const LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// Makes what is missing and gives a new token.
pub(super) async fn ensure(hub: &Hub, auth: &Auth) -> Result<Secret, StartError> {
    let project = ProjectId::new(NAME).map_err(|error| failed("project", &error))?;
    for (id, format) in [(JSON, IngestFormat::Json), (XML, IngestFormat::Xml)] {
        let name = StreamName::new(id).map_err(|error| failed("ingest stream", &error))?;
        if hub.stream(&project, &name).is_some() {
            continue;
        }
        let ingest = Ingest { name: KEY.into(), format, mode: IngestMode::Active };
        let settings = StreamSettings {
            description: "What is sent to the demonstration.".into(),
            dedup: None,
            ingest: Some(ingest),
            ..StreamSettings::default()
        };
        let made = hub.create_stream(&project, NewStream { name, settings }).await;
        made.map_err(|error| failed("ingest stream", &error))?;
    }
    let id = match auth.api_keys(&project).into_iter().find(|key| key.name == KEY) {
        Some(key) => key.id,
        None => {
            let scopes = BTreeSet::from([Scope::IngestWrite]);
            let new =
                NewApiKey { project: project.clone(), name: KEY.into(), scopes, streams: None };
            let made = auth.create_api_key(new).await;
            made.map_err(|error| failed("API key", &error))?.key.id
        }
    };
    let issued = auth.issue_access_token(&project, &id, LIFETIME, None);
    issued.map(|issued| issued.token).map_err(|error| failed("access token", &error))
}
