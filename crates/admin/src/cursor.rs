//! `/v1/projects/{project}/streams/{stream}/cursors`: places that the server keeps for readers.
//!
//! They are a reader's own, so a credential that may read the stream may set them. Each integration
//! has its own: a token sees and moves those of its integration alone.

use axum::Json;
use axum::extract::State;
use http::{StatusCode, Uri};
use outflow_hub::Cursor;
use outflow_model::{Action, CredentialId, Offset};
use serde::{Deserialize, Serialize};

use crate::access::{Admin, Caller};
use crate::error::Refused;
use crate::input::Input;
use crate::page::{Page, PageQuery};

/// A named place in a stream. Each integration has cursors of its own; keys of the project and
/// operators share theirs.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Cursor))]
pub(crate) struct CursorView {
    /// Unique in its stream and integration.
    name: String,
    /// The last offset that counts as read: reading goes on after it.
    offset: String,
    /// When it was last set; null right after it was set.
    updated: Option<String>,
}

/// Where a cursor is to be.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct CursorInput {
    /// The last offset that counts as read, as decimal digits in a string.
    #[cfg_attr(test, schema(pattern = "^[0-9]{1,20}$", example = "1000000000000041"))]
    offset: String,
}

fn view(cursor: &Cursor) -> CursorView {
    CursorView {
        name: cursor.name.clone(),
        offset: cursor.offset.to_string(),
        updated: Some(cursor.updated.to_string()),
    }
}

fn missing() -> Refused {
    Refused::missing("cursor")
}

/// Cursors are named as credentials are: up to 64 letters, digits, `_`, `-`, `.`.
fn cursor_name(text: &str) -> Result<&str, Refused> {
    CredentialId::check(text.as_bytes()).map(|()| text).map_err(|_| missing())
}

/// List the cursors of a stream that the caller's integration has, or those that keys of the project and operators share.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/streams/{stream}/cursors", tag = "cursors", operation_id = "list_cursors",
    params(("project" = String, Path, description = "The project."), ("stream" = String, Path, description = "The stream."), PageQuery),
    responses((status = 200, description = "A page of cursors.", body = Page<CursorView>))))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<CursorView>>, Refused> {
    let stream =
        admin.stream(&caller.grant, &caller.path.project, &caller.path.stream, Action::Read)?;
    let page = PageQuery::of(&uri)?;
    let cursors = admin.hub().cursors(&stream, caller.grant.integration.as_ref()).await?;
    Ok(Json(page.cut(cursors, |cursor| cursor.name.as_str(), view)))
}

/// Show a cursor.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/streams/{stream}/cursors/{name}", tag = "cursors", operation_id = "get_cursor",
    params(("project" = String, Path, description = "The project."), ("stream" = String, Path, description = "The stream."),
        ("name" = String, Path, description = "The cursor.")),
    responses((status = 200, description = "The cursor.", body = CursorView))))]
pub(crate) async fn show(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<CursorView>, Refused> {
    let stream =
        admin.stream(&caller.grant, &caller.path.project, &caller.path.stream, Action::Read)?;
    let name = cursor_name(&caller.path.last)?;
    let owner = caller.grant.integration.as_ref();
    let cursor = admin.hub().cursor_and_time(&stream, owner, name).await?.ok_or_else(missing)?;
    Ok(Json(view(&cursor)))
}

/// Put a cursor at an offset; it is made if there is none.
#[cfg_attr(test, utoipa::path(put, path = "/v1/projects/{project}/streams/{stream}/cursors/{name}", tag = "cursors", operation_id = "put_cursor",
    params(("project" = String, Path, description = "The project."), ("stream" = String, Path, description = "The stream."),
        ("name" = String, Path, description = "The cursor: letters, digits, `_`, `-`, `.`, at most 64.")),
    request_body = CursorInput, responses((status = 200, description = "The cursor as it is now.", body = CursorView))))]
pub(crate) async fn put(
    State(admin): State<Admin>,
    input: Input<CursorInput>,
) -> Result<Json<CursorView>, Refused> {
    let path = &input.caller.path;
    let stream = admin.stream(&input.caller.grant, &path.project, &path.stream, Action::Read)?;
    let name = cursor_name(&path.last)?;
    let digits = input.body()?.offset;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let offset = is_number.then(|| digits.parse().ok()).flatten().map(Offset::new);
    let offset =
        offset.ok_or_else(|| Refused::member("/offset", "it is not an offset: decimal digits"))?;
    let owner = input.caller.grant.integration.as_ref();
    admin.hub().set_cursor(&stream, owner, name, offset).await?;
    // Somebody may have removed it or put it elsewhere meanwhile.
    let cursor = admin.hub().cursor_and_time(&stream, owner, name).await?.ok_or_else(missing)?;
    Ok(Json(view(&cursor)))
}

/// Remove a cursor.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/projects/{project}/streams/{stream}/cursors/{name}", tag = "cursors", operation_id = "delete_cursor",
    params(("project" = String, Path, description = "The project."), ("stream" = String, Path, description = "The stream."),
        ("name" = String, Path, description = "The cursor.")),
    responses((status = 204, description = "It is gone."))))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<StatusCode, Refused> {
    let stream =
        admin.stream(&caller.grant, &caller.path.project, &caller.path.stream, Action::Read)?;
    let (owner, name) = (caller.grant.integration.as_ref(), cursor_name(&caller.path.last)?);
    let was_there = admin.hub().delete_cursor(&stream, owner, name).await?;
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(missing()) }
}
