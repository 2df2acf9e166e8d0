//! The routes for operators' tools: `/livez`, `/readyz`, `/metrics`, `/version`.
//!
//! They need no credential and show no secret; they listen on an address of their own.
//! `/livez` says whether a restart would help; `/readyz` whether to send clients here.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use outflow_hub::Hub;
use prometheus_client::registry::Registry;
use tokio::time::timeout;

use crate::status::{Check, Status};

/// How long metrics wait for what must be read for them.
const LOOKING: Duration = Duration::from_secs(2);
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes.
pub(crate) fn router(status: Status, hub: Hub, registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .with_state(status)
        .route("/metrics", get(metrics))
        .with_state((hub, registry))
        .route("/version", get(version))
}

async fn live(State(status): State<Status>) -> (StatusCode, &'static str) {
    if status.is_alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the server does no work\n")
    }
}

/// 503 while draining or after the engine stopped; with `?verbose` one line for each check.
async fn ready(State(status): State<Status>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let checks = status.checks();
    let is_ready = checks.iter().all(|check| !check.matters || check.wrong.is_none());
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verbose =
        query.is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose")));
    if verbose {
        return (code, checks.iter().map(line).collect());
    }
    let wrong = checks.iter().filter(|check| check.matters).find_map(|check| check.wrong.as_ref());
    (code, wrong.map_or_else(|| "ok\n".to_owned(), |wrong| format!("{wrong}\n")))
}

fn line(check: &Check) -> String {
    match (&check.wrong, check.matters) {
        (None, _) => format!("[+] {}: ok\n", check.name),
        (Some(wrong), true) => format!("[-] {}: {wrong}\n", check.name),
        (Some(wrong), false) => format!("[!] {}: {wrong}\n", check.name),
    }
}

async fn metrics(State((hub, registry)): State<(Hub, Arc<Registry>)>) -> Response {
    // What a slow disk does not tell in time is as it was, or left out.
    let _ = timeout(LOOKING, hub.look_up_ages()).await;
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn version() -> axum::Json<serde_json::Value> {
    axum::Json(serde_json::json!({ "name": "outflow", "version": env!("CARGO_PKG_VERSION") }))
}
