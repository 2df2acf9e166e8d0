//! What a request says its payload is: the content type, read without an allocation.

use outflow_hub::IngestFormat;

/// The format that a content type names; `None` for any other. Parameters other than `charset` are
/// ignored, as are upper and lower case (RFC 9110 8.3.1). JSON is UTF-8 and nothing else
/// (RFC 8259 8.1); XML says itself what it is.
#[must_use]
pub fn format(content_type: &str) -> Option<IngestFormat> {
    let mut parts = content_type.split(';').map(str::trim);
    let name = parts.next()?;
    let is = |known: &[&str]| known.iter().any(|known| name.eq_ignore_ascii_case(known));
    if is(&["application/xml", "text/xml"]) {
        return Some(IngestFormat::Xml);
    }
    if !is(&["application/json", "text/json"]) {
        return None;
    }
    let charset = parts.filter_map(|part| part.split_once('=')).find_map(|(name, value)| {
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    let is_utf8 = |name: &str| ["utf-8", "utf8"].iter().any(|utf8| name.eq_ignore_ascii_case(utf8));
    charset.is_none_or(is_utf8).then_some(IngestFormat::Json)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn types_are_read_as_they_are_written() {
        use IngestFormat::{Json, Xml};
        for (text, expected) in [
            ("application/json", Some(Json)),
            ("Application/JSON; charset=UTF-8", Some(Json)),
            ("text/json;charset=\"utf8\"", Some(Json)),
            ("application/json; charset=utf-16", None),
            ("application/xml", Some(Xml)),
            ("text/xml; charset=utf-16", Some(Xml)),
            ("application/x-ndjson", None),
            ("application/x-www-form-urlencoded", None),
            ("application/jsonp", None),
            ("", None),
        ] {
            assert_eq!(format(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_fault(text: String) {
            let _ = format(&text);
        }
    }
}
