//! The form of the response: `Accept` and `Accept-Encoding`.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, USER_AGENT};

use crate::wire::Coding;

/// The vendor's media types; their `version` parameter is the API's version.
const VENDOR: &str = "application/vnd.urbanairship+";

/// The coding for a client of Airship's API; `None` when it accepts none that we have.
///
/// No `Accept-Encoding` means gzip: Node sends none and decompresses whatever comes (rule 2). The
/// exception is curl, where a person is looking.
#[must_use]
pub fn airship_coding(headers: &HeaderMap) -> Option<Coding> {
    if headers.contains_key(ACCEPT_ENCODING) {
        return coding(headers);
    }
    let agent = headers.get(USER_AGENT).map(http::HeaderValue::as_bytes).unwrap_or_default();
    Some(if agent.starts_with(b"curl/") { Coding::Identity } else { Coding::Gzip })
}

/// The coding by RFC 9110 12.5.3: the highest weight, and of equals gzip, zstd, identity; `None`
/// when the client accepts none of them.
#[must_use]
pub fn coding(headers: &HeaderMap) -> Option<Coding> {
    let mut weights = Weights::default();
    for value in headers.get_all(ACCEPT_ENCODING) {
        let Ok(text) = value.to_str() else { continue };
        text.split(',').for_each(|item| weights.add(item));
    }
    let any = weights.any;
    // What is not named is not acceptable, but identity, which is unless refused.
    let gzip = weights.gzip.or(any).unwrap_or(0);
    let zstd = weights.zstd.or(any).unwrap_or(0);
    let identity = weights.identity.or(any.filter(|&weight| weight == 0)).unwrap_or(1);
    let best = gzip.max(zstd).max(identity);
    match best {
        0 => None,
        _ if gzip == best => Some(Coding::Gzip),
        _ if zstd == best => Some(Coding::Zstd),
        _ => Some(Coding::Identity),
    }
}

/// Weights in thousandths, where named.
#[derive(Default)]
struct Weights {
    gzip: Option<u32>,
    zstd: Option<u32>,
    identity: Option<u32>,
    any: Option<u32>,
}

impl Weights {
    fn add(&mut self, item: &str) {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight =
            parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight = weight.map_or(1000, |weight| thousandths(weight.trim()));
        match name.as_str() {
            "gzip" | "x-gzip" => self.gzip = Some(weight),
            "zstd" => self.zstd = Some(weight),
            "identity" => self.identity = Some(weight),
            "*" => self.any = Some(weight),
            _ => {}
        }
    }
}

/// `0.5` as 500. What is not a weight counts as 1.
fn thousandths(weight: &str) -> u32 {
    let weight = weight.parse::<f64>().unwrap_or(1.0);
    if weight >= 0.0 { (weight.min(1.0) * 1000.0) as u32 } else { 1000 }
}

/// Whether `Accept` allows version 3 of the API (rule 14): it does unless all it names are the
/// vendor's types in other versions. Parameters may be written with any spaces and a `;` at the end.
#[must_use]
pub fn accepts_version_3(headers: &HeaderMap) -> bool {
    let mut refused = false;
    for value in headers.get_all(ACCEPT) {
        let Ok(text) = value.to_str() else { return true };
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            if !is_other_version(item) {
                return true;
            }
            refused = true;
        }
    }
    !refused
}

fn is_other_version(item: &str) -> bool {
    let mut parts = item.split(';').map(|part| part.trim().to_ascii_lowercase());
    if !parts.next().is_some_and(|name| name.starts_with(VENDOR)) {
        return false;
    }
    let version = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        (name.trim() == "version").then(|| value.trim().trim_matches('"').to_owned())
    });
    version.is_some_and(|version| version != "3")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn coding_follows_what_real_clients_send() {
        let airship = |pairs: &[(&'static str, &'static str)]| airship_coding(&headers(pairs));
        // Node and Java; Python; the documented curl line; curl without --compressed.
        assert_eq!(airship(&[]), Some(Coding::Gzip));
        assert_eq!(airship(&[("accept-encoding", "gzip, deflate")]), Some(Coding::Gzip));
        let curl = ("user-agent", "curl/8.5.0");
        assert_eq!(
            airship(&[curl, ("accept-encoding", "deflate, gzip, br, zstd")]),
            Some(Coding::Gzip)
        );
        assert_eq!(airship(&[curl]), Some(Coding::Identity));
    }

    #[test]
    fn coding_honours_weights() {
        for (accept, expected) in [
            ("", Some(Coding::Identity)),
            ("identity", Some(Coding::Identity)),
            ("zstd", Some(Coding::Zstd)),
            ("zstd, gzip", Some(Coding::Gzip)),
            ("gzip;q=0", Some(Coding::Identity)),
            ("gzip;q=0, zstd;q=0.1", Some(Coding::Zstd)),
            ("gzip;q=0.5, identity", Some(Coding::Identity)),
            ("*", Some(Coding::Gzip)),
            ("*;q=0.1, identity;q=0", Some(Coding::Gzip)),
            ("br, *;q=0", None),
            ("identity;q=0", None),
            ("identity;q=0, gzip;q=0.001", Some(Coding::Gzip)),
            ("X-GZIP ; Q=0.3", Some(Coding::Gzip)),
            ("gzip;q=oops", Some(Coding::Gzip)),
        ] {
            assert_eq!(coding(&headers(&[("accept-encoding", accept)])), expected, "{accept}");
        }
    }

    #[test]
    fn version_is_read_leniently() {
        for (accept, expected) in [
            ("application/vnd.urbanairship+x-ndjson; version=3;", true),
            ("application/vnd.urbanairship+x-ndjson;version=3;", true),
            ("application/vnd.urbanairship+json; version=3", true),
            ("application/vnd.urbanairship+x-ndjson", true),
            ("*/*", true),
            ("text/html", true),
            ("", true),
            ("application/vnd.urbanairship+x-ndjson; version=2;", false),
            ("Application/VND.urbanairship+json;Version=\"4\"", false),
            ("application/vnd.urbanairship+x-ndjson; version=2, */*;q=0.1", true),
        ] {
            assert_eq!(accepts_version_3(&headers(&[("accept", accept)])), expected, "{accept}");
        }
        assert!(accepts_version_3(&HeaderMap::new()));
    }
}
