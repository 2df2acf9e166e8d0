//! What is in a file: events of an ingest stream as rows, and those that do not fit apart.
//!
//! Called by [`crate::lander`]. The same events give the same bytes, whenever they are asked for.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outflow_hub::IngestFormat;
use outflow_model::Meta;
use outflow_model::json::{Kind, Raw, Value};
use outflow_model::meta::{FLAG_BODY_BASE64, FLAG_BODY_TEXT};
use serde_json::json;

use crate::{cbor, xml};

/// A file being made.
#[derive(Debug)]
pub struct Content {
    format: IngestFormat,
    rows: Vec<u8>,
    count: u64,
    failed: Vec<u8>,
    failures: u64,
}

impl Content {
    /// A file without rows.
    #[must_use]
    pub const fn new(format: IngestFormat) -> Self {
        Self { format, rows: Vec::new(), count: 0, failed: Vec::new(), failures: 0 }
    }

    /// Adds an event.
    pub fn push(&mut self, meta: &Meta, line: &[u8]) {
        let added = match self.format {
            IngestFormat::Json => self.push_json(meta, line),
            IngestFormat::Xml => self.push_xml(meta, line),
        };
        match added {
            Ok(()) => self.count += 1,
            Err(reason) => self.push_failed(meta, line, &reason),
        }
    }

    /// An object is a row as it is: a stored body has no newlines.
    fn push_json(&mut self, meta: &Meta, line: &[u8]) -> Result<(), String> {
        let body = meta.body(line);
        let is_text = meta.flags & (FLAG_BODY_TEXT | FLAG_BODY_BASE64) != 0;
        if is_text || body.is_empty() || !matches!(Value::new(body).kind(), Kind::Object) {
            return Err("it is not a JSON object".to_owned());
        }
        self.rows.extend_from_slice(body);
        self.rows.push(b'\n');
        Ok(())
    }

    fn push_xml(&mut self, meta: &Meta, line: &[u8]) -> Result<(), String> {
        let content_type = content_type(meta, line);
        let charset = content_type.as_deref().and_then(charset);
        let tree = xml::parse(&payload(meta, line), charset).map_err(|error| error.to_string())?;
        if self.rows.is_empty() {
            cbor::begin(&mut self.rows);
        }
        cbor::write(&tree, &mut self.rows);
        Ok(())
    }

    fn push_failed(&mut self, meta: &Meta, line: &[u8], reason: &str) {
        let row = json!({
            "offset": meta.offset.to_string(),
            "processed": meta.processed.to_string(),
            "reason": reason,
            "payload_base64": STANDARD.encode(payload(meta, line)),
        });
        self.failed.extend_from_slice(row.to_string().as_bytes());
        self.failed.push(b'\n');
        self.failures += 1;
    }

    /// How many rows there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How many events did not fit.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.failures
    }

    /// The bytes of the file and of its failures; empty where there are none.
    #[must_use]
    pub fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        if self.format == IngestFormat::Xml && !self.rows.is_empty() {
            cbor::end(&mut self.rows);
        }
        (self.rows, self.failed)
    }
}

/// What the payload was sent as: the header that `face-ingest` keeps.
fn content_type(meta: &Meta, line: &[u8]) -> Option<String> {
    let headers = meta.others(line).called(b"headers")?;
    let text = headers.get(b"content-type").and_then(Value::as_string)?;
    Some(text.to_text().into_owned())
}

/// The `charset` of a content type.
fn charset(content_type: &str) -> Option<&str> {
    let mut parameters = content_type.split(';').skip(1).filter_map(|one| one.split_once('='));
    let charset = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    charset.map(|(_, value)| value.trim().trim_matches('"')).filter(|value| !value.is_empty())
}

/// The bytes that the upstream system sent.
fn payload<'a>(meta: &Meta, line: &'a [u8]) -> Cow<'a, [u8]> {
    let body = meta.body(line);
    if meta.flags & (FLAG_BODY_TEXT | FLAG_BODY_BASE64) == 0 {
        return Cow::Borrowed(body);
    }
    let text = Value::new(body).as_string().map(Raw::unescape).unwrap_or_default();
    if meta.flags & FLAG_BODY_TEXT != 0 {
        return text;
    }
    Cow::Owned(STANDARD.decode(&*text).unwrap_or_default())
}
