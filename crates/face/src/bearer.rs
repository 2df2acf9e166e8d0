//! The token of an `Authorization: Bearer` header.
//!
//! Called by the faces and by `admin`, which give the token to `auth`.

use http::HeaderValue;

/// The token; the scheme in any case (RFC 9110 11.1). `None` for another scheme.
#[must_use]
pub fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_may_be_in_any_case_and_no_other() {
        let token = |text: &'static str| bearer(&HeaderValue::from_static(text)).map(str::to_owned);
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token(" bEARER   abc ").as_deref(), Some("abc"));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("Bearer"), None);
    }
}
