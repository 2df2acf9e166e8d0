//! A writer of JSON text into one reused buffer: the generator makes events without building trees.
//!
//! Commas follow from the byte before, so there is no state to keep in step.

use std::fmt::Write;

use outflow_model::Timestamp;
use outflow_model::timestamp::RFC3339_BYTES;

use crate::luck::Uuid;

/// The buffer. Keys are given as they are written: they must need no escape.
#[derive(Debug, Default)]
pub(crate) struct Json(String);

impl Json {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }

    /// Starts anew with one object that `fill` fills.
    pub(crate) fn root(&mut self, fill: impl FnOnce(&mut Self)) {
        self.0.clear();
        self.enclose('{', '}', fill);
    }

    /// `"key":{…}`.
    pub(crate) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Self)) {
        self.key(key);
        self.enclose('{', '}', fill);
    }

    /// `"key":[…]`.
    pub(crate) fn array(&mut self, key: &str, fill: impl FnOnce(&mut Self)) {
        self.key(key);
        self.enclose('[', ']', fill);
    }

    /// An object as an array's next item.
    pub(crate) fn item(&mut self, fill: impl FnOnce(&mut Self)) {
        self.comma();
        self.enclose('{', '}', fill);
    }

    /// `"key":["…",…]`.
    pub(crate) fn texts(&mut self, key: &str, values: &[&str]) {
        self.array(key, |json| {
            for value in values {
                json.comma();
                json.quote(value);
            }
        });
    }

    /// `"key":"value"`, escaped.
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.quote(value);
    }

    /// `"key":"uuid"`.
    pub(crate) fn uuid(&mut self, key: &str, value: Uuid) {
        self.key(key);
        self.0.push('"');
        value.write(&mut self.0);
        self.0.push('"');
    }

    /// `"key":"2016-12-08T21:27:01.125Z"`.
    pub(crate) fn time(&mut self, key: &str, value: Timestamp) {
        let mut out = [0; RFC3339_BYTES];
        value.write_rfc3339(&mut out);
        self.text(key, std::str::from_utf8(&out).unwrap_or_default());
    }

    /// `"key":12`.
    pub(crate) fn int(&mut self, key: &str, value: i64) {
        self.shown(key, value);
    }

    /// `"key":true`.
    pub(crate) fn flag(&mut self, key: &str, value: bool) {
        self.shown(key, value);
    }

    /// `"key":12.340000`: `millionths` with six decimals, never through a float.
    pub(crate) fn millionths(&mut self, key: &str, millionths: i64) {
        self.shown(key, Millionths(millionths));
    }

    /// `"key":"-12.340000"`.
    pub(crate) fn millionths_text(&mut self, key: &str, millionths: i64) {
        self.shown(key, format_args!("\"{}\"", Millionths(millionths)));
    }

    /// `"key":` and `value`, which is JSON already.
    pub(crate) fn raw(&mut self, key: &str, value: &str) {
        self.key(key);
        self.0.push_str(value);
    }

    fn shown(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        // Writing to a `String` cannot fail.
        let _ = write!(self.0, "{value}");
    }

    fn key(&mut self, key: &str) {
        self.comma();
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    fn comma(&mut self) {
        if !matches!(self.0.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.0.push(',');
        }
    }

    fn enclose(&mut self, open: char, close: char, fill: impl FnOnce(&mut Self)) {
        self.0.push(open);
        fill(self);
        self.0.push(close);
    }

    fn quote(&mut self, value: &str) {
        self.0.push('"');
        if value.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            for letter in value.chars() {
                match letter {
                    '"' | '\\' => self.0.extend(['\\', letter]),
                    '\0'..='\x1f' => {
                        let _ = write!(self.0, "\\u{:04x}", u32::from(letter));
                    }
                    _ => self.0.push(letter),
                }
            }
        } else {
            self.0.push_str(value);
        }
        self.0.push('"');
    }
}

/// A number with six decimals.
struct Millionths(i64);

impl std::fmt::Display for Millionths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (sign, size) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}.{:06}", size / 1_000_000, size % 1_000_000)
    }
}
