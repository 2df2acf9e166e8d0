//! The head of a request: what stands before the body.
//!
//! Seed 001 ("Example RTDS event"): POST, the length, `application/json; charset=UTF-8`, then the
//! customer's headers as they were written. The server's own come last.

use super::{Field, Headers};
use crate::guard::Endpoint;

/// The media type of every request, as the seed writes it.
pub const CONTENT_TYPE: &str = "application/json; charset=UTF-8";
/// Who asks, unless the customer's headers say it.
const USER_AGENT: &str = concat!("Outflow/", env!("CARGO_PKG_VERSION"));

/// How the body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// As it is.
    #[default]
    Identity,
    /// By [`gzip`](super::body::gzip).
    Gzip,
}

/// A request without its body.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Where it goes.
    pub endpoint: &'a Endpoint,
    /// What the customer adds.
    pub headers: &'a Headers,
    /// What the server adds: the signature.
    pub fields: &'a [Field],
    /// How the body is packed.
    pub encoding: Encoding,
    /// The body's length as it is sent.
    pub body_bytes: usize,
}

impl Head<'_> {
    /// Writes it, with the empty line at its end.
    pub fn write(&self, out: &mut Vec<u8>) {
        for part in ["POST ", self.endpoint.target(), " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        write_field(out, "Host", self.endpoint.authority());
        write_field(out, "Content-Length", &self.body_bytes.to_string());
        write_field(out, "Content-Type", CONTENT_TYPE);
        if self.encoding == Encoding::Gzip {
            write_field(out, "Content-Encoding", "gzip");
        }
        for (name, value) in self.headers.iter() {
            write_field(out, name, value);
        }
        if !self.headers.has("User-Agent") {
            write_field(out, "User-Agent", USER_AGENT);
        }
        for field in self.fields {
            write_field(out, field.name, field.value());
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Guard;

    fn written(
        url: &str,
        headers: &[(&str, &str)],
        fields: &[Field],
        encoding: Encoding,
    ) -> String {
        let endpoint = Guard::default().endpoint(url).unwrap();
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let headers = Headers::new(headers.collect()).unwrap();
        let head =
            Head { endpoint: &endpoint, headers: &headers, fields, encoding, body_bytes: 799 };
        let mut out = Vec::new();
        head.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_seeds_example_is_written_to_the_letter() {
        let headers = [
            ("Custom-Header1", "Value1"),
            ("Custom-Header2", "Value2"),
            ("Authorization", "Basic dXNhcj0wYXNzd29yZA=="),
            ("user-agent", "mine"),
        ];
        let expected = "POST / HTTP/1.1\r\n\
            Host: example.com\r\n\
            Content-Length: 799\r\n\
            Content-Type: application/json; charset=UTF-8\r\n\
            Custom-Header1: Value1\r\n\
            Custom-Header2: Value2\r\n\
            Authorization: Basic dXNhcj0wYXNzd29yZA==\r\n\
            user-agent: mine\r\n\
            \r\n";
        assert_eq!(written("https://example.com", &headers, &[], Encoding::Identity), expected);
    }

    #[test]
    fn the_query_the_port_and_our_own_headers_are_there() {
        let fields = [Field::new("webhook-id", "msg_1")];
        let url = "https://Example.com:8443/a%20b/?k=v&x=%2F";
        let expected = format!(
            "POST /a%20b/?k=v&x=%2F HTTP/1.1\r\n\
             Host: example.com:8443\r\n\
             Content-Length: 799\r\n\
             Content-Type: application/json; charset=UTF-8\r\n\
             Content-Encoding: gzip\r\n\
             User-Agent: Outflow/{}\r\n\
             webhook-id: msg_1\r\n\
             \r\n",
            env!("CARGO_PKG_VERSION"),
        );
        assert_eq!(written(url, &[], &fields, Encoding::Gzip), expected);
    }
}
