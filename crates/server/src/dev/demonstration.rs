//! The demonstration project, as Airship's test server has it: application key, token and master
//! secret are all `sample_connection` (reference `airship.md` 1.1).

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;

use outflow_auth::{Auth, CredentialKind, NewCredential};
use outflow_hub::{
    CatalogError, Hub, Integration, NewStream, Project, ProjectLimits, Stream, StreamSettings,
};
use outflow_model::{Action, IntegrationId, ProjectId, StreamName, Timestamp};

use crate::wiring::StartError;

/// The application key, the token and the master secret.
pub(super) const NAME: &str = "sample_connection";

/// The stream that its clients read.
pub(super) const STREAM: &str = "events";

/// Readers at once: enough that a load test meets the machine's limits first.
const CONNECTIONS: u32 = 100_000;

/// Makes what is missing and gives the stream.
pub(super) async fn ensure(hub: &Hub, auth: &Auth) -> Result<Arc<Stream>, StartError> {
    let project = ProjectId::new(NAME).map_err(|error| failed("project", &error))?;
    let integration = IntegrationId::new(NAME).map_err(|error| failed("integration", &error))?;
    let stream = StreamName::new(STREAM).map_err(|error| failed("stream", &error))?;
    ensure_project(hub, &project, &stream).await?;
    let stream = ensure_stream(hub, &project, stream, "Generated test events.").await?;
    if hub.integration(&project, &integration).is_none() {
        let made = hub.create_integration(Integration {
            webhook: None,
            id: integration.clone(),
            project: project.clone(),
            name: "Test clients".into(),
            description: "The connection point of the demonstration.".into(),
            send_location: true,
            event_types: None,
            compliance: true,
            max_connections: CONNECTIONS,
            created: Timestamp::default(),
        });
        made.await.map_err(|error| failed("integration", &error))?;
    }
    let read = BTreeSet::from([Action::Read, Action::Publish]);
    let token = credential(CredentialKind::Token, &project, Some(integration), read);
    auth.issue_fixed(token, NAME).await.map_err(|error| failed("token", &error))?;
    let comply = BTreeSet::from([Action::Compliance]);
    let master = credential(CredentialKind::Master, &project, None, comply);
    auth.issue_fixed(master, NAME).await.map_err(|error| failed("master secret", &error))?;
    Ok(stream)
}

/// Makes the stream that tells what came of webhooks: the instructions show how it is read, which
/// someone may do before there is a webhook.
pub(super) async fn ensure_attempts(hub: &Hub) -> Result<(), StartError> {
    let project = ProjectId::new(NAME).map_err(|error| failed("project", &error))?;
    let integration = IntegrationId::new(NAME).map_err(|error| failed("integration", &error))?;
    if let Some(webhooks) = hub.webhooks() {
        let told = webhooks.prepare(&(project, integration)).await;
        told.map_err(|error| failed("webhook's attempts", &error))?;
    }
    Ok(())
}

async fn ensure_project(
    hub: &Hub,
    id: &ProjectId,
    default_stream: &StreamName,
) -> Result<(), StartError> {
    if hub.project(id).is_some() {
        return Ok(());
    }
    let made = hub.create_project(Project {
        id: id.clone(),
        name: "Demonstration".into(),
        created: Timestamp::default(),
        basic_auth: true,
        default_stream: default_stream.clone(),
        limits: ProjectLimits { connections: CONNECTIONS },
    });
    made.await.map(drop).map_err(|error| failed("project", &error))
}

/// Makes the stream if it is missing.
pub(super) async fn ensure_stream(
    hub: &Hub,
    project: &ProjectId,
    name: StreamName,
    description: &str,
) -> Result<Arc<Stream>, StartError> {
    if let Some(stream) = hub.stream(project, &name) {
        return Ok(stream);
    }
    let settings = StreamSettings { description: description.into(), ..StreamSettings::default() };
    let made = hub.create_stream(project, NewStream { name, settings }).await;
    made.map_err(|error: CatalogError| failed("stream", &error))
}

fn credential(
    kind: CredentialKind,
    project: &ProjectId,
    integration: Option<IntegrationId>,
    actions: BTreeSet<Action>,
) -> NewCredential {
    NewCredential {
        kind,
        name: NAME.into(),
        project: Some(project.clone()),
        integration,
        actions,
        streams: None,
        user: None,
        destinations: None,
        expires: None,
    }
}

/// A customer that logs in to consume from a namespace.
pub(super) fn customer(
    project: &ProjectId,
    user: &str,
    namespace: &str,
) -> Result<NewCredential, StartError> {
    let read = BTreeSet::from([Action::Read]);
    let destinations =
        outflow_auth::user::namespace(namespace).map_err(|error| failed("namespace", &error))?;
    Ok(NewCredential {
        user: Some(user.to_owned()),
        destinations: Some(destinations),
        ..credential(CredentialKind::User, project, None, read)
    })
}

/// The demonstration cannot be made.
pub(super) fn failed(what: &str, error: &dyn Display) -> StartError {
    StartError::Demonstration(format!("{what}: {error}"))
}
