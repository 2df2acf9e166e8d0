//! Events for people: time, type, offset and body on one line.

use std::io::{self, Write};

use serde::Deserialize;
use serde_json::value::RawValue;

/// How to write for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pretty {
    colour: bool,
}

#[derive(Debug, Deserialize)]
struct Shown<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    offset: &'a str,
    occurred: &'a str,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

impl Pretty {
    pub(crate) const fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// Writes one stored line; what is not one is written as it is.
    pub(crate) fn write(self, line: &[u8], out: &mut impl Write) -> io::Result<()> {
        let Ok(event) = serde_json::from_slice::<Shown<'_>>(line) else {
            return out.write_all(line);
        };
        let (dim, bold, plain) =
            if self.colour { ("\x1b[2m", "\x1b[1;36m", "\x1b[0m") } else { ("", "", "") };
        let Shown { event_type, offset, occurred, body } = event;
        write!(out, "{dim}{occurred}{plain} {bold}{event_type:<26}{plain} {dim}{offset}{plain} ")?;
        for c in body.map_or("", RawValue::get).chars() {
            // What a publisher sent must not drive the terminal.
            if c.is_control() {
                write!(out, "{}", c.escape_unicode())?;
            } else {
                write!(out, "{c}")?;
            }
        }
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_and_cannot_drive_the_terminal() {
        let line = "{\"id\":\"a\",\"type\":\"CUSTOM\",\"offset\":\"1000000000000001\",\
            \"occurred\":\"2026-01-01T00:00:00.000Z\",\"processed\":\"2026-01-01T00:00:00.000Z\",\
            \"body\":{\"n\":1.10,\"s\":\"\u{9b}31m\"}}\n";
        let mut out = Vec::new();
        Pretty::new(false).write(line.as_bytes(), &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "2026-01-01T00:00:00.000Z CUSTOM                     1000000000000001 {\"n\":1.10,\"s\":\"\\u{9b}31m\"}\n"
        );
    }
}
