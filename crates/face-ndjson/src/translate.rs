//! Where spelling meets meaning: the members of a request to places, filters and subsets.

use std::sync::Arc;

use outflow_hub::Start;
use outflow_model::{Filter, Offset, Subset, Timestamp};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::authenticate::Route;
use crate::error::Refusal;
use crate::request::{Body, shown};

/// What a client asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where to begin, if no cursor says otherwise.
    pub start: Start,
    /// The named cursor to begin after, when it has a place and the client gave no offset.
    pub cursor: Option<String>,
    /// Which events.
    pub filter: Arc<Filter>,
    /// Which part of them.
    pub subset: Option<Subset>,
    /// Whether idle time is marked with `OFFSET_UPDATE` events instead of blank lines.
    pub offset_updates: bool,
}

impl Wanted {
    /// Reads the members of a request to `route`.
    ///
    /// `resume_offset` wins over every other place (rule 10: Node sends its first `start` again with
    /// it), a cursor over `start` and `start_time`; without any, the read begins at the end.
    ///
    /// # Errors
    /// 400 that names the member and what is wrong with it.
    pub fn read(body: &Body<'_>, route: Route) -> Result<Self, Refusal> {
        // All are checked, even those that another overrules.
        let start = body.start.map(start).transpose()?;
        let time = body.start_time.map(start_time).transpose()?;
        let resume = body.resume_offset.map(resume_offset).transpose()?;
        let cursor = body.cursor.map(|value| text(value, "/cursor")).transpose()?;
        if start.is_some() && time.is_some() {
            return Err(Refusal::malformed("`start` and `start_time` cannot be given together"));
        }
        let filter = match body.filters {
            None => Filter::all(),
            Some(filters) => {
                let filter = Filter::parse(filters.get().as_bytes())?;
                if route == Route::General {
                    check_compliance_filters(filters)?;
                }
                filter
            }
        };
        Ok(Self {
            start: resume.map(Start::After).or(start).or(time).unwrap_or(Start::Latest),
            cursor: cursor.filter(|_| resume.is_none()),
            filter: Arc::new(filter),
            subset: body.subset.map(|subset| Subset::parse(subset.get().as_bytes())).transpose()?,
            offset_updates: body.enable_offset_updates.map_or(Ok(false), |value| {
                match value.get() {
                    "true" => Ok(true),
                    "false" => Ok(false),
                    _ => Err(must("be true or false", "/enable_offset_updates")),
                }
            })?,
        })
    }
}

fn must(rule: &str, pointer: &str) -> Refusal {
    Refusal::malformed(format!("must {rule} at `{pointer}`"))
}

fn text(value: &RawValue, pointer: &str) -> Result<String, Refusal> {
    serde_json::from_str(value.get()).map_err(|_| must("be a string", pointer))
}

fn start(value: &RawValue) -> Result<Start, Refusal> {
    match text(value, "/start")?.to_ascii_uppercase().as_str() {
        "EARLIEST" => Ok(Start::Earliest),
        "LATEST" => Ok(Start::Latest),
        _ => Err(must("be EARLIEST or LATEST", "/start")),
    }
}

fn start_time(value: &RawValue) -> Result<Start, Refusal> {
    let time = Timestamp::parse_rfc3339(text(value, "/start_time")?.as_bytes());
    time.map(Start::At).ok_or_else(|| must("be an RFC 3339 time", "/start_time"))
}

/// An offset as a string or a number (rule 9).
fn resume_offset(value: &RawValue) -> Result<Offset, Refusal> {
    let text = if value.get().starts_with('"') {
        text(value, "/resume_offset")?
    } else {
        value.get().to_owned()
    };
    Offset::parse(&text).ok_or_else(|| must("be an offset that an event carried", "/resume_offset"))
}

/// The compliance route filters by `device_types` of email and sms, and by `latency`, only
/// (reference 1.7). The filters have been compiled before, so their types are right.
fn check_compliance_filters(filters: &RawValue) -> Result<(), Refusal> {
    let parsed: Value =
        serde_json::from_str(filters.get()).map_err(|_| must("be filters", "/filters"))?;
    let list = parsed.as_array().map_or(std::slice::from_ref(&parsed), Vec::as_slice);
    for (at, filter) in list.iter().enumerate() {
        for (name, value) in filter.as_object().into_iter().flatten() {
            let allowed = match name.as_str() {
                "latency" => true,
                "device_types" => value.as_array().into_iter().flatten().all(|device| {
                    let device = device.as_str().unwrap_or_default();
                    ["email", "sms"].iter().any(|allowed| allowed.eq_ignore_ascii_case(device))
                }),
                _ => false,
            };
            if !allowed {
                let detail =
                    "only device_types of email and sms, and latency, can be used here, not";
                let name = shown(name);
                return Err(Refusal::malformed(format!(
                    "{detail} `{name}` at `/filters/{at}/{name}`"
                )));
            }
        }
    }
    Ok(())
}

/// Where `start` in the query of the generic route says to begin: `earliest`, `latest`, `now`, an
/// offset (exclusive) or an RFC 3339 time.
#[must_use]
pub fn query_start(text: &str) -> Option<Start> {
    match text {
        "earliest" => Some(Start::Earliest),
        "latest" | "now" => Some(Start::Latest),
        // A time always has a dash at its fifth place; no offset has one.
        _ => Timestamp::parse_rfc3339(text.as_bytes())
            .map(Start::At)
            .or_else(|| Offset::parse(text).map(Start::After)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(body: &str) -> Result<Wanted, String> {
        let body = Body::read(body.as_bytes()).unwrap();
        Wanted::read(&body, Route::Events).map_err(|refusal| refusal.detail)
    }

    #[test]
    fn the_place_to_begin() {
        let start = |body| wanted(body).unwrap().start;
        let after = |raw| Start::After(Offset::new(raw));
        assert_eq!(start("{}"), Start::Latest);
        assert_eq!(start(r#"{"start":"EARLIEST"}"#), Start::Earliest);
        assert_eq!(start(r#"{"resume_offset":"1235"}"#), after(1235));
        assert_eq!(start(r#"{"resume_offset":1235}"#), after(1235));
        assert_eq!(start(r#"{"resume_offset":"MTIzNQ"}"#), after(1235));
        assert_eq!(start(r#"{"start":"LATEST","resume_offset":"7"}"#), after(7));
        let at = Timestamp::parse_rfc3339(b"2026-11-22T00:00:00Z").unwrap();
        assert_eq!(start(r#"{"start_time":"2026-11-22T00:00:00Z"}"#), Start::At(at));
        assert_eq!(
            wanted(r#"{"cursor":"nightly","start":"EARLIEST"}"#).unwrap().cursor.as_deref(),
            Some("nightly")
        );
        assert_eq!(wanted(r#"{"cursor":"nightly","resume_offset":"9"}"#).unwrap().cursor, None);
    }

    #[test]
    fn bad_values_are_named() {
        for (body, fault) in [
            (r#"{"start":"FIRST"}"#, "must be EARLIEST or LATEST at `/start`"),
            (r#"{"start":1}"#, "must be a string at `/start`"),
            (
                r#"{"resume_offset":"x"}"#,
                "must be an offset that an event carried at `/resume_offset`",
            ),
            (
                r#"{"resume_offset":-1}"#,
                "must be an offset that an event carried at `/resume_offset`",
            ),
            (
                r#"{"resume_offset":1.5}"#,
                "must be an offset that an event carried at `/resume_offset`",
            ),
            (
                r#"{"resume_offset":null}"#,
                "must be an offset that an event carried at `/resume_offset`",
            ),
            (
                r#"{"enable_offset_updates":"true"}"#,
                "must be true or false at `/enable_offset_updates`",
            ),
            (r#"{"start_time":"yesterday"}"#, "must be an RFC 3339 time at `/start_time`"),
        ] {
            assert_eq!(wanted(body).unwrap_err(), fault, "{body}");
        }
        // The model's own faults come through with their places.
        for (body, place) in [
            (r#"{"subset":{"type":"SAMPLE","x":1}}"#, "`x` at `/subset`"),
            (r#"{"subset":{"type":"PARTITION","count":0,"selection":0}}"#, "`/subset/count`"),
            (r#"{"filters":[{"types":[]}]}"#, "`/filters/0/types`"),
            (r#"{"filters":[{"colour":"red"}]}"#, "`colour` at `/filters/0`"),
        ] {
            let fault = wanted(body).unwrap_err();
            assert!(fault.ends_with(place), "{body}: {fault}");
        }
    }

    #[test]
    fn the_query_takes_offsets_and_times() {
        assert_eq!(query_start("now"), Some(Start::Latest));
        assert_eq!(
            query_start("1000000000000005"),
            Some(Start::After(Offset::new(1_000_000_000_000_005)))
        );
        assert!(matches!(query_start("2026-11-22T00:00:00Z"), Some(Start::At(_))));
        assert_eq!(query_start("x y"), None);
    }
}
