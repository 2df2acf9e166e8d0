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
        let tree = xml::parse(&payload(meta, line)).map_err(|error| error.to_string())?;
        if self.rows.is_empty() {
            self.rows.push(cbor::BEGIN);
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
            self.rows.push(cbor::END);
        }
        (self.rows, self.failed)
    }
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
