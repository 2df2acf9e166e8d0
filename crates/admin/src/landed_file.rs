//! `/v1/projects/{project}/ingest-streams/{id}/files`: what an ingest stream has landed as files.
//!
//! Files are named by the day and by the time of their first event; those with what could not be
//! landed are under `_failed/` of their day. Whoever may read the stream may read them.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Uri};
use outflow_hub::landing::{LandedFile, LandedFiles};
use outflow_hub::{CatalogError, Stream};
use outflow_model::{Action, ErrorCode};
use serde::Serialize;

use crate::access::{Admin, Caller};
use crate::error::Refused;
use crate::page::{Page, PageQuery};

/// A landed file.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LandedFile))]
pub(crate) struct LandedFileView {
    /// Its name below the stream's folder, such as `2026-03-01/08-05-09-1000000000000007.ndjson`.
    path: String,
    /// Its size in bytes.
    bytes: u64,
}

fn missing() -> Refused {
    Refused::missing("file")
}

/// The stream, and where its files are.
fn reached(admin: &Admin, caller: &Caller) -> Result<(Arc<Stream>, Arc<dyn LandedFiles>), Refused> {
    let names = &caller.path;
    let stream = admin.stream(&caller.grant, &names.project, &names.last, Action::Read)?;
    if stream.settings.ingest.is_none() {
        return Err(Refused::missing("ingest stream"));
    }
    let files = admin.hub().landed_files();
    let none = || Refused::new(ErrorCode::NotFound, "nothing lands in files on this server");
    Ok((stream, files.ok_or_else(none)?))
}

/// List the files that an ingest stream has landed, in order of their paths.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/ingest-streams/{id}/files", tag = "streams", operation_id = "list_landed_files",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The ingest stream's id."), PageQuery),
    responses((status = 200, description = "A page of files.", body = Page<LandedFileView>))))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<LandedFileView>>, Refused> {
    let (stream, files) = reached(&admin, &caller)?;
    let page = PageQuery::of(&uri)?;
    let (limit, after) = page.limit_and_after();
    // One more says whether there is a next page.
    let found =
        files.list(&stream, after, limit + 1).await.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => {
                Refused::member("", "`after` must be the `next` of the page before")
            }
            _ => CatalogError::from(error).into(),
        })?;
    let show = |LandedFile { path, bytes }| LandedFileView { path, bytes };
    let views = found.into_iter().map(show).collect();
    Ok(Json(Page::of_ordered(views, limit, |view: &LandedFileView| &view.path)))
}

/// Fetch a landed file.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/ingest-streams/{id}/files/{day}/{file}", tag = "streams", operation_id = "get_landed_file",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The ingest stream's id."),
        ("day" = String, Path, description = "The day, `yyyy-MM-dd`."), ("file" = String, Path, description = "The file's name.")),
    responses((status = 200, description = "The file; of an XML stream it is `application/cbor`.", body = String, content_type = "application/x-ndjson"))))]
pub(crate) async fn show(State(admin): State<Admin>, caller: Caller) -> Result<Response, Refused> {
    let path = format!("{}/{}", caller.path.day, caller.path.file);
    fetch(&admin, &caller, &path).await
}

/// Fetch a file of what could not be landed: a line for each, with its bytes and the reason.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/ingest-streams/{id}/files/{day}/_failed/{file}", tag = "streams", operation_id = "get_failed_file",
    params(("project" = String, Path, description = "The project."), ("id" = String, Path, description = "The ingest stream's id."),
        ("day" = String, Path, description = "The day, `yyyy-MM-dd`."), ("file" = String, Path, description = "The file's name.")),
    responses((status = 200, description = "The file.", body = String, content_type = "application/x-ndjson"))))]
pub(crate) async fn show_failed(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Response, Refused> {
    let path = format!("{}/_failed/{}", caller.path.day, caller.path.file);
    fetch(&admin, &caller, &path).await
}

async fn fetch(admin: &Admin, caller: &Caller, path: &str) -> Result<Response, Refused> {
    let (stream, files) = reached(admin, caller)?;
    let found = files.open(&stream, path).await.map_err(CatalogError::from)?;
    let found = found.ok_or_else(missing)?;
    let kind = if path.ends_with(".cbor") { "application/cbor" } else { "application/x-ndjson" };
    let mut response = Body::from_stream(found.content).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(found.bytes));
    Ok(response)
}
