//! What comes in: JSON bodies, queries, and the checks of their members.
//!
//! Used by the handlers, after [`crate::access`] has let the caller pass. Every refusal names the
//! member by JSON pointer.

use axum::extract::{FromRequest, Query, Request};
use outflow_body::{Encoding, Held};
use outflow_model::id::{EventType, NameError};
use outflow_model::{ProjectId, StreamName, Timestamp};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use serde_path_to_error::{Path, Segment};

use crate::access::{Admin, Caller};
use crate::error::Refused;

/// The largest JSON body of a configuration request, decoded.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// The longest `name`, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// The longest `description`, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 1024;
/// The most event types or streams that one list may name.
const MAX_LISTED: usize = 1000;

/// A request's caller and its JSON body. The caller is authenticated before the body is read.
#[derive(Debug)]
pub(crate) struct Input<T> {
    pub(crate) caller: Caller,
    body: bytes::Bytes,
    /// What the body takes, until the request is answered.
    _room: Held,
    read_as: std::marker::PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Input<T> {
    /// The body. Called once the caller's reach is known, so that a refusal for want of it comes
    /// first and says nothing about the body.
    pub(crate) fn body(&self) -> Result<T, Refused> {
        let mut reader = serde_json::Deserializer::from_slice(&self.body);
        let unreadable = |pointer: &str, error: &_| unreadable::<T>(&self.body, pointer, error);
        let value = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| unreadable(&pointer(error.path()), error.inner()))?;
        reader.end().map_err(|error| unreadable("", &error))?;
        Ok(value)
    }
}

impl<T> FromRequest<Admin> for Input<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, admin: &Admin) -> Result<Self, Refused> {
        let (mut parts, body) = request.into_parts();
        let caller = <Caller as axum::extract::FromRequestParts<Admin>>::from_request_parts(
            &mut parts, admin,
        )
        .await?;
        let encoding = Encoding::of(&parts.headers)?;
        // An operator's is that of none.
        let project = caller.grant.project.as_ref().map_or("", ProjectId::as_str);
        let mut room = admin.room(project);
        let (headers, limit) = (&parts.headers, MAX_BODY_BYTES);
        let body = outflow_body::read_within(headers, body, encoding, limit, &mut room).await?;
        Ok(Self { caller, body, _room: room, read_as: std::marker::PhantomData })
    }
}

fn unreadable<T: DeserializeOwned>(
    body: &[u8],
    pointer: &str,
    error: &serde_json::Error,
) -> Refused {
    let text = error.to_string();
    // serde_json ends its messages with the place, which is said separately here.
    let reason = plain(text.split(" at line ").next().unwrap_or(&text));
    if error.is_data() {
        return Refused::member(pointer, reason);
    }
    if is_json(body) {
        return Refused::member(pointer, wanted::<T>(body, pointer).unwrap_or(reason));
    }
    let (line, column) = (error.line(), error.column());
    Refused::new(
        outflow_model::ErrorCode::Malformed,
        format!("the body is not JSON: {reason} (line {line}, column {column})"),
    )
    .place(json!({ "line": line, "column": column, "detail": reason }))
}

/// Whether a body is JSON, whatever it says: the parser calls one broken, too, where a value other than a
/// text stands for a word of some, and where a number is too large.
fn is_json(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok() && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// What stands at `pointer` where a word of some should, and which these are. The type says them of a
/// text that is none.
fn wanted<T: DeserializeOwned>(body: &[u8], pointer: &str) -> Option<String> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    let fault = |body: &Value| {
        let error = serde_path_to_error::deserialize::<_, T>(body).err()?;
        (self::pointer(error.path()) == pointer).then(|| error.inner().to_string())
    };
    let found = fault(&body)?;
    *body.pointer_mut(pointer)? = Value::String(String::new());
    let words = fault(&body)?;
    let ((found, _), (_, words)) =
        (found.rsplit_once("expected ")?, words.split_once("expected ")?);
    Some(plain(&format!("{found}expected {words}")))
}

/// What the parser says, without the names of our types and of Rust's, which tell a caller nothing.
fn plain(reason: &str) -> String {
    if reason.starts_with("EOF while parsing") {
        return "it ends too early".to_owned();
    }
    // The last: what stands before may be the caller's own words.
    let Some((found, expected)) = reason.rsplit_once("expected ") else {
        return reason.to_owned();
    };
    let is_type = ["struct ", "enum ", "internally tagged enum "];
    let plain = match expected {
        "a sequence" => "an array",
        "a map" => "an object",
        "ident" => "true, false or null",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        _ if is_type.iter().any(|one| expected.starts_with(one)) => "an object",
        other => other,
    };
    let found = match found {
        "invalid type: map, " | "invalid value: map, " => "invalid type: object, ",
        "invalid type: sequence, " => "invalid type: array, ",
        other => other,
    };
    format!("{found}expected {plain}")
}

fn pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => pointer,
    })
}

/// Reads the query of a request.
pub(crate) fn query<T: DeserializeOwned>(uri: &http::Uri) -> Result<T, Refused> {
    let read = Query::try_from_uri(uri).map(|Query(value)| value);
    read.map_err(|error| {
        let text = error.body_text();
        // axum begins with what its own code was doing.
        let reason = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
        Refused::new(outflow_model::ErrorCode::Malformed, format!("the query: {reason}"))
    })
}

/// Reads a member that may be absent (`None`), null (`Some(None)`) or a value.
pub(crate) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    reader: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(reader).map(Some)
}

/// A name for people.
pub(crate) fn name(text: String) -> Result<String, Refused> {
    people("/name", text, MAX_NAME_BYTES)
}

/// A description for people.
pub(crate) fn description(text: String) -> Result<String, Refused> {
    people("/description", text, MAX_DESCRIPTION_BYTES)
}

fn people(pointer: &str, text: String, max: usize) -> Result<String, Refused> {
    if text.len() > max {
        return Err(Refused::member(pointer, format!("it has more than {max} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(Refused::member(pointer, "it has control characters"));
    }
    Ok(text)
}

/// An identifier made by `new`.
pub(crate) fn id<T>(
    pointer: &str,
    text: &str,
    new: fn(&str) -> Result<T, NameError>,
) -> Result<T, Refused> {
    new(text).map_err(|error| Refused::member(pointer, error.to_string()))
}

/// A moment, in RFC 3339.
pub(crate) fn time(pointer: &str, text: &str) -> Result<Timestamp, Refused> {
    Timestamp::parse_rfc3339(text.as_bytes()).ok_or_else(|| {
        Refused::member(pointer, "it is not an RFC 3339 time such as 2030-01-31T00:00:00Z")
    })
}

/// A number within `range`.
pub(crate) fn within<T: PartialOrd + std::fmt::Display>(
    pointer: &str,
    number: T,
    range: &std::ops::RangeInclusive<T>,
) -> Result<T, Refused> {
    if range.contains(&number) {
        return Ok(number);
    }
    Err(Refused::member(pointer, format!("it must be from {} to {}", range.start(), range.end())))
}

/// A set of event types, upper case.
pub(crate) fn event_types(types: &[String]) -> Result<std::collections::BTreeSet<String>, Refused> {
    counted("/event_types", types.len())?;
    let check = |(at, text): (usize, &String)| {
        id(&format!("/event_types/{at}"), text, EventType::new)?;
        Ok(text.to_ascii_uppercase())
    };
    types.iter().enumerate().map(check).collect()
}

/// A set of streams.
pub(crate) fn streams(names: &[String]) -> Result<std::collections::BTreeSet<StreamName>, Refused> {
    counted("/streams", names.len())?;
    let check = |(at, text): (usize, &String)| id(&format!("/streams/{at}"), text, StreamName::new);
    names.iter().enumerate().map(check).collect()
}

fn counted(pointer: &str, count: usize) -> Result<(), Refused> {
    within(pointer, count, &(1..=MAX_LISTED)).map(drop).map_err(|_| {
        Refused::member(pointer, format!("it must name 1 to {MAX_LISTED}, or be null for all"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_parser_says_names_no_type_of_ours() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "what is read is of no interest")]
        struct Inner {
            count: u32,
            names: Vec<String>,
            flag: bool,
            share: f64,
        }
        for (text, expected) in [
            ("7", "invalid type: integer `7`, expected an object"),
            (
                r#"{"count":"x"}"#,
                "invalid type: string \"x\", expected a whole number from 0 to 4294967295",
            ),
            (
                r#"{"count":-1}"#,
                "invalid value: integer `-1`, expected a whole number from 0 to 4294967295",
            ),
            (r#"{"names":{}}"#, "invalid type: object, expected an array"),
            (r#"{"flag":nul}"#, "expected true, false or null"),
            (
                r#"{"share":"expected u8"}"#,
                "invalid type: string \"expected u8\", expected a number",
            ),
            (r#"{"count":1"#, "it ends too early"),
            (r#"{"count":1}"#, "missing field `names`"),
        ] {
            let error = serde_json::from_str::<Inner>(text).unwrap_err().to_string();
            assert_eq!(plain(error.split(" at line ").next().unwrap()), expected, "{text}");
        }
    }
}
