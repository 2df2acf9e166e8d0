//! `/v1/projects/{project}/users`: who logs in with a name and a password, such as the customers
//! of a feed.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use outflow_auth::user::namespace;
use outflow_auth::{CredentialKind, NewCredential};
use outflow_model::{Action, DestinationGrant, DestinationPattern};
use serde::Deserialize;

use crate::access::{Admin, Caller};
use crate::credential::{self, CredentialView};
use crate::error::Refused;
use crate::input::{self, Input};
use crate::page::Page;

/// A user to make.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    /// What to log in with, unique in the project; five digits are drawn when it is absent.
    #[cfg_attr(test, schema(max_length = 64))]
    user: Option<String>,
    /// For people: who it is.
    #[serde(default)]
    #[cfg_attr(test, schema(max_length = 128))]
    name: String,
    /// Makes it the customer of a feed: it consumes `<destination id>.RTO.<namespace>` under any
    /// id, and publishes nowhere. Not together with `consume`, `send` and `actions`.
    namespace: Option<String>,
    /// The destinations it may consume from, such as `orders.>` or `topic://news.*`. Without
    /// `consume`, `send` and `namespace`: all of the project's.
    consume: Option<Vec<String>>,
    /// The destinations it may send to.
    send: Option<Vec<String>>,
    /// What it may do; absent: what `consume` and `send` call for, and read where neither is.
    actions: Option<Vec<UserAction>>,
    /// When it ends (RFC 3339); null or absent: never.
    #[cfg_attr(test, schema(format = DateTime))]
    expires: Option<String>,
}

/// What a user may do.
#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub(crate) enum UserAction {
    /// Consume events.
    Read,
    /// Send events.
    Publish,
}

impl NewUser {
    /// The destinations it may use; `None`: all.
    fn destinations(&self) -> Result<Option<DestinationGrant>, Refused> {
        let given = [self.consume.is_some(), self.send.is_some(), self.actions.is_some()];
        if let Some(name) = &self.namespace {
            if given.contains(&true) {
                return Err(Refused::member("/namespace", "it says already what the user may do"));
            }
            let grant = namespace(name);
            return grant
                .map(Some)
                .map_err(|_| Refused::member("/namespace", "it has letters, digits and `_` only"));
        }
        if self.consume.is_none() && self.send.is_none() {
            return Ok(None);
        }
        let consume = patterns("/consume", self.consume.as_deref().unwrap_or_default())?;
        let send = patterns("/send", self.send.as_deref().unwrap_or_default())?;
        Ok(Some(DestinationGrant { consume, send }))
    }

    fn actions(
        &self,
        destinations: Option<&DestinationGrant>,
    ) -> Result<BTreeSet<Action>, Refused> {
        if let Some(actions) = &self.actions {
            if actions.is_empty() {
                return Err(Refused::member("/actions", "it must have read, publish or both"));
            }
            let action = |action: &UserAction| match action {
                UserAction::Read => Action::Read,
                UserAction::Publish => Action::Publish,
            };
            return Ok(actions.iter().map(action).collect());
        }
        let Some(DestinationGrant { consume, send }) = destinations else {
            return Ok(credential::only(Action::Read));
        };
        let mut actions = BTreeSet::new();
        actions.extend((!consume.is_empty()).then_some(Action::Read));
        actions.extend((!send.is_empty()).then_some(Action::Publish));
        if actions.is_empty() {
            return Err(Refused::member("/consume", "it may do nothing"));
        }
        Ok(actions)
    }
}

fn patterns(pointer: &str, texts: &[String]) -> Result<Vec<DestinationPattern>, Refused> {
    let read = |(at, text): (usize, &String)| {
        DestinationPattern::parse(text)
            .map_err(|error| Refused::member(format!("{pointer}/{at}"), error.to_string()))
    };
    texts.iter().enumerate().map(read).collect()
}

/// The kinds of credential that are listed and ended here.
const KINDS: [CredentialKind; 1] = [CredentialKind::User];

/// List a project's users, without their passwords.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/users", tag = "credentials", operation_id = "list_users",
    params(("project" = String, Path, description = "The project."), crate::page::PageQuery),
    responses((status = 200, description = "A page of users.", body = Page<CredentialView>))))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<CredentialView>>, Refused> {
    credential::page(&admin, &caller, &uri, &KINDS)
}

/// Make a user; the answer shows its password, this once.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/users", tag = "credentials", operation_id = "create_user",
    params(("project" = String, Path, description = "The project.")), request_body = NewUser,
    responses((status = 201, description = "The user; its password is the secret.", body = credential::IssuedView))))]
pub(crate) async fn create(
    State(admin): State<Admin>,
    input: Input<NewUser>,
) -> Result<Response, Refused> {
    let project = admin.project(&input.caller.grant, &input.caller.path.project, Action::Manage)?;
    let new = input.body()?;
    let destinations = new.destinations()?;
    let credential = NewCredential {
        kind: CredentialKind::User,
        actions: new.actions(destinations.as_ref())?,
        name: input::name(new.name)?,
        project: Some(project.id.clone()),
        integration: None,
        streams: None,
        user: new.user,
        destinations,
        expires: credential::expires(&admin, new.expires.as_deref())?,
    };
    credential::issue(&admin, credential, &format!("/v1/projects/{}/users", project.id)).await
}

/// Delete a user. Its live connections end within two seconds.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/projects/{project}/users/{id}", tag = "credentials", operation_id = "delete_user",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The user's id.")),
    responses((status = 204, description = "It is deleted."))))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<StatusCode, Refused> {
    credential::end(&admin, &caller, &KINDS).await
}
