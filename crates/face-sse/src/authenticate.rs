//! Who is asking: a bearer token in the header, or a short-lived one in the URL.
//!
//! A browser's `EventSource` cannot send headers, so a token may stand in the query as
//! `access_token`. URLs are kept by logs and histories: only a JWT that ends soon is taken from
//! there, never a key or a token that lasts. What its payload says of its end is believed for this
//! refusal only; whether the token holds is `auth`'s to say.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use outflow_auth::{Auth, Presented};
use outflow_face::bearer;
use outflow_model::{Grant, Timestamp};
use serde::Deserialize;

use crate::error::Refusal;

/// The grant of a request.
///
/// # Errors
/// 401, whatever is wrong with the token; 400 when there are several.
pub fn grant(
    headers: &HeaderMap,
    in_url: Option<&str>,
    auth: &Auth,
    now: Timestamp,
    longest: Duration,
) -> Result<Grant, Refusal> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let first = all.next();
    if all.next().is_some() {
        // Whoever passed the request on may have looked at another than we would.
        return Err(Refusal::malformed("the request has several `Authorization` headers"));
    }
    let in_header = first.map(bearer);
    let token = match (in_header, in_url) {
        (Some(token), _) => token,
        (None, Some(token)) => Some(token).filter(|token| ends_soon(token, now, longest)),
        (None, None) => None,
    };
    let presented = Presented::Bearer { project: None, token: token.unwrap_or_default() };
    auth.authenticate(&presented).ok_or_else(Refusal::unauthenticated)
}

/// Whether `token` is a JWT that says it ends within `longest` from `now`.
#[must_use]
pub fn ends_soon(token: &str, now: Timestamp, longest: Duration) -> bool {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = payload.and_then(|json| serde_json::from_slice::<Claims>(&json).ok());
    let latest = now.millis() / 1000 + i64::try_from(longest.as_secs()).unwrap_or(i64::MAX);
    claims.is_some_and(|claims| claims.exp <= latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_that_ends_soon_may_stand_in_a_url() {
        let now = Timestamp::from_millis(1_000_000);
        let jwt = |payload: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload));
        let ends = |token: &str| ends_soon(token, now, Duration::from_secs(60));
        assert!(ends(&jwt(r#"{"exp":1060}"#)));
        assert!(!ends(&jwt(r#"{"exp":1061}"#)));
        assert!(!ends(&jwt("{}")));
        assert!(!ends("an-opaque-token"));
    }
}
