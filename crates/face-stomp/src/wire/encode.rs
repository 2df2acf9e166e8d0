//! Frames to bytes.

use std::fmt::{Display, Write as _};

use super::Version;

/// Appends one frame to a buffer: a command, headers, then [`FrameWriter::end`] or
/// [`FrameWriter::body`].
///
/// A frame ends with NUL and LF, as ActiveMQ's do (rule 2): the LF makes it readable on a terminal
/// and counts as a heart-beat.
#[derive(Debug)]
pub struct FrameWriter<'a> {
    out: &'a mut Vec<u8>,
    version: Version,
}

/// What every frame ends with.
pub(crate) const FRAME_END: &[u8] = b"\0\n";

impl<'a> FrameWriter<'a> {
    /// Begins a frame.
    pub fn begin(out: &'a mut Vec<u8>, version: Version, command: &str) -> Self {
        out.extend_from_slice(command.as_bytes());
        out.push(b'\n');
        Self { out, version }
    }

    /// Goes on with header lines only.
    pub const fn resume(out: &'a mut Vec<u8>, version: Version) -> Self {
        Self { out, version }
    }

    /// A header whose name and value may hold anything: what would end the line or the frame is
    /// escaped as the version has it, or becomes a space where it has no escape. A header without
    /// a name is left out.
    pub fn header(&mut self, name: &str, value: &str) -> &mut Self {
        if name.is_empty() {
            return self;
        }
        if self.version == Version::V1_0 && name.contains(':') {
            // It would end the name, and 1.0 has no escape for it.
            escape(&name.replace(':', "_"), self.version, self.out);
        } else {
            escape(name, self.version, self.out);
        }
        self.out.push(b':');
        escape(value, self.version, self.out);
        self.out.push(b'\n');
        self
    }

    /// A header whose name is ours and needs no escape, and whose value may hold anything.
    pub fn named(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b':');
        escape(value, self.version, self.out);
        self.out.push(b'\n');
        self
    }

    /// A header that needs no escape: `value` is ours, or CONNECTED's, where nothing is escaped
    /// (rule 3). Line ends and NULs in it become spaces all the same.
    pub fn plain(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b':');
        // Writing to a buffer in memory does not fail.
        let _ = write!(Line(self.out), "{value}");
        self.out.push(b'\n');
        self
    }

    /// A header with a number.
    pub fn number(&mut self, name: &str, value: i64) -> &mut Self {
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b':');
        write_number(value.unsigned_abs(), value < 0, self.out);
        self.out.push(b'\n');
        self
    }

    /// A header with two numbers and a hyphen between them.
    pub fn pair(&mut self, name: &'static str, (first, second): (u64, u64)) -> &mut Self {
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b':');
        write_number(first, false, self.out);
        self.out.push(b'-');
        write_number(second, false, self.out);
        self.out.push(b'\n');
        self
    }

    /// Whole header lines that were written before by this version's rules.
    pub fn lines(&mut self, lines: &[u8]) -> &mut Self {
        self.out.extend_from_slice(lines);
        self
    }

    /// Ends the frame, without a body.
    pub fn end(&mut self) {
        self.out.push(b'\n');
        self.out.extend_from_slice(FRAME_END);
    }

    /// Ends the frame with `body` and its length: whatever it holds, NULs included, is read back.
    pub fn body(&mut self, body: &[u8]) {
        self.number("content-length", i64::try_from(body.len()).unwrap_or(i64::MAX));
        self.out.push(b'\n');
        self.out.extend_from_slice(body);
        self.out.extend_from_slice(FRAME_END);
    }
}

/// Keeps a value on its line.
struct Line<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        escape(text, Version::V1_0, self.0);
        Ok(())
    }
}

/// Whether nothing in `text` needs an escape. Looks at all of it without an early end, many bytes at
/// once: values are short, and hardly one needs any.
fn is_plain(text: &[u8], version: Version) -> bool {
    let ends_line = text.iter().fold(false, |ends, byte| ends | (*byte == b'\n') | (*byte == 0));
    let returns = || text.iter().fold(false, |returns, byte| returns | (*byte == b'\r'));
    let splits =
        || text.iter().fold(false, |splits, byte| splits | (*byte == b':') | (*byte == b'\\'));
    !(ends_line
        || (version != Version::V1_1 && returns())
        || (version != Version::V1_0 && splits()))
}

/// Appends `text` to `out` as `version` escapes it.
fn escape(text: &str, version: Version, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    if is_plain(rest, version) {
        return out.extend_from_slice(rest);
    }
    let special = |byte: &u8| match byte {
        b'\n' | 0 => true,
        b'\r' => version != Version::V1_1,
        b':' | b'\\' => version != Version::V1_0,
        _ => false,
    };
    while let Some(at) = rest.iter().position(special) {
        let (plain, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let Some((byte, after)) = after.split_first() else { break };
        match (byte, version) {
            // 1.0 has no escapes, and no version has one for NUL.
            (0, _) | (b'\n' | b'\r', Version::V1_0) => out.push(b' '),
            (b'\n', _) => out.extend_from_slice(b"\\n"),
            (b'\r', _) => out.extend_from_slice(b"\\r"),
            (b':', _) => out.extend_from_slice(b"\\c"),
            _ => out.extend_from_slice(b"\\\\"),
        }
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// Appends a number in decimal: without the machinery of formatting, for it is done several times
/// a message.
fn write_number(value: u64, is_negative: bool, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut left = value;
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + (left % 10) as u8;
        }
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if is_negative {
        out.push(b'-');
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}
