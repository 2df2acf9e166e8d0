//! `outflow webhook attempts`: what came of the requests to an endpoint.

use clap::Args;
use serde_json::Value;

use crate::api::Api;
use crate::failure::Failure;
use crate::output::{self, Column};

/// How many entries a page of the server's list has at most.
const PAGE: usize = 1_000;

const COLUMNS: [Column; 9] = [
    ("at", "/at"),
    ("message", "/message"),
    ("events", "/events"),
    ("first", "/first_offset"),
    ("attempt", "/attempt"),
    ("outcome", "/outcome"),
    ("status", "/status"),
    ("ms", "/duration_ms"),
    ("failure", "/failure"),
];

/// Which attempts.
#[derive(Debug, Args)]
pub(super) struct AttemptsArgs {
    /// What came of them: taken, failed, again, refused, gone, or the answer's status such as 503.
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only those since an RFC 3339 time.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// How many at most.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
}

/// Lists attempts, page by page, the last one first.
pub(super) async fn list(
    api: &Api,
    json: bool,
    path: &[&str],
    which: &AttemptsArgs,
) -> Result<(), Failure> {
    let mut attempts: Vec<Value> = Vec::new();
    let mut next: Option<String> = None;
    let has_more = loop {
        let wanted = which.limit.saturating_sub(attempts.len());
        if wanted == 0 {
            break next.is_some();
        }
        let limit = wanted.min(PAGE).to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(which.status.as_deref().map(|status| ("status", status)));
        query.extend(which.since.as_deref().map(|since| ("since", since)));
        query.extend(next.as_deref().map(|next| ("after", next)));
        let mut page = api.get(path, &query).await?;
        match page.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => attempts.extend(items),
            _ => return Err(Failure::Answer("a list without items".into())),
        }
        next = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if next.is_none() {
            break false;
        }
    };
    output::list(json, &attempts, &COLUMNS)?;
    if has_more {
        output::message("there are more: see --limit, --since and --status");
    }
    Ok(())
}
