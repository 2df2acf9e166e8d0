//! Golden frames: each is decoded, and encoded again to the same bytes.
//!
//! Called by the example and by the tests. A row is a JSON object: `type`, `code`, `version`, `tight`,
//! `cache`, `variant`, `hex`, `fields`; and, where a file has them, `stackTrace`, `sizePrefix` and
//! `cacheSize`. Rows that differ in `variant` only come of one connection, one after another, so that
//! later ones name what earlier ones have put into its cache.
//!
//! Where a row does not say whether stack traces are on, or whether it goes on with a connection or
//! begins one, it passes when it does so in one of the ways.

use bytes::{Bytes, BytesMut};
use outflow_face_openwire::wire::{Decoder, Encoder, WireFormat};
use serde_json::{Map, Value};

/// What came of a file.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) passed: usize,
    /// Each failure: its line, what it is, and what differs.
    pub(crate) failures: Vec<String>,
}

/// Both directions of one connection, and the rows it is for.
struct Connection {
    of: String,
    decoder: Decoder,
    encoder: Encoder,
}

impl Connection {
    fn new(of: String, format: &WireFormat) -> Self {
        Self { of, decoder: Decoder::new(format.clone()), encoder: Encoder::new(format.clone()) }
    }
}

/// Checks every row of `text`.
pub(crate) fn check(text: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let mut connections: Vec<Connection> = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let result = Row::parse(line).and_then(|row| row.check(&mut connections));
        match result {
            Ok(()) => outcome.passed += 1,
            Err(failure) => outcome.failures.push(format!("line {}: {failure}", number + 1)),
        }
    }
    outcome
}

/// The commands of `text`'s rows, each read on the connection it is of.
#[cfg(test)]
pub(crate) fn rows(text: &str) -> Vec<outflow_face_openwire::wire::Command> {
    let mut connections: Vec<Connection> = Vec::new();
    let mut commands = Vec::new();
    for row in text.lines().map(|line| Row::parse(line).expect("a row")) {
        let known = connections.iter().position(|connection| connection.of == row.of);
        let known = known.unwrap_or_else(|| {
            connections.push(Connection::new(row.of.clone(), &row.format));
            connections.len() - 1
        });
        let mut frame = BytesMut::from(&*row.frame);
        let command = connections[known].decoder.read(&mut frame).expect("a frame");
        commands.push(command.expect("a whole frame"));
    }
    commands
}

struct Row {
    name: String,
    code: u64,
    shown: String,
    /// What the rows of one connection have in common.
    of: String,
    format: WireFormat,
    /// Whether `format.stack_traces` is what the row says, or a guess.
    stack_traces_said: bool,
    frame: Bytes,
}

fn said(row: &Map<String, Value>, names: &[&str]) -> Option<bool> {
    names.iter().find_map(|name| row.get(*name)?.as_bool())
}

impl Row {
    fn parse(line: &str) -> Result<Self, String> {
        let row: Map<String, Value> =
            serde_json::from_str(line).map_err(|error| format!("no row: {error}"))?;
        let number = |name: &str| {
            row.get(name).and_then(Value::as_u64).ok_or_else(|| format!("no number `{name}`"))
        };
        let text = |name: &str| {
            row.get(name).and_then(Value::as_str).ok_or_else(|| format!("no text `{name}`"))
        };
        let flag = |name: &str| said(&row, &[name]).ok_or_else(|| format!("no truth `{name}`"));
        let frame = unhex(text("hex")?)?;
        let version = u8::try_from(number("version")?).map_err(|_| "no such version")?;
        let stack = said(&row, &["stackTrace", "stackTraces", "stackTraceEnabled", "stack"]);
        let prefix = said(&row, &["sizePrefix", "sizePrefixEnabled", "prefix"])
            .or_else(|| said(&row, &["sizePrefixDisabled"]).map(|disabled| !disabled))
            .unwrap_or_else(|| has_size(&frame));
        let cache_size = row.get("cacheSize").and_then(Value::as_u64);
        let format = WireFormat {
            version,
            tight: flag("tight")?,
            cache: flag("cache")?,
            stack_traces: stack.unwrap_or(true),
            size_prefix: prefix,
            cache_size: cache_size
                .and_then(|size| u16::try_from(size).ok())
                .unwrap_or_else(|| WireFormat::initial(0).cache_size),
            max_frame_size: u64::MAX,
        };
        let name = text("type")?.to_owned();
        let variant = row.get("variant").and_then(Value::as_str).unwrap_or_default();
        Ok(Self {
            shown: format!(
                "{name} version {version} {} {}{}{} {variant}",
                if format.tight { "tight" } else { "loose" },
                if format.cache { "cached" } else { "uncached" },
                if stack == Some(false) { " without stack traces" } else { "" },
                if prefix { "" } else { " without size" },
            ),
            of: format!("{name} {stack:?} {format:?}"),
            code: number("code")?,
            name,
            format,
            stack_traces_said: stack.is_some(),
            frame,
        })
    }

    fn check(&self, connections: &mut Vec<Connection>) -> Result<(), String> {
        let known = connections.iter().position(|connection| connection.of == self.of);
        let mut first = None;
        if let Some(known) = known {
            let mut connection = connections.swap_remove(known);
            let result = self.check_on(&mut connection);
            if result.is_ok() {
                connections.push(connection);
                return Ok(());
            }
            first = result.err();
        }
        let guesses = if self.stack_traces_said { 1 } else { 2 };
        for guess in 0..guesses {
            let mut format = self.format.clone();
            format.stack_traces ^= guess == 1;
            let mut connection = Connection::new(self.of.clone(), &format);
            match self.check_on(&mut connection) {
                Ok(()) => {
                    connections.push(connection);
                    return Ok(());
                }
                Err(failure) => drop(first.get_or_insert(failure)),
            }
        }
        Err(format!("{}: {}", self.shown, first.unwrap_or_default()))
    }

    fn check_on(&self, connection: &mut Connection) -> Result<(), String> {
        let mut buffer = BytesMut::from(&*self.frame);
        let command = connection
            .decoder
            .read(&mut buffer)
            .map_err(|error| format!("not decoded: {error}"))?
            .ok_or("not decoded: the frame is not whole")?;
        if !buffer.is_empty() {
            return Err(format!("{} bytes are left behind the frame", buffer.len()));
        }
        if command.name() != self.name || u64::from(command.type_code()) != self.code {
            return Err(format!("decoded as {} {}", command.name(), command.type_code()));
        }
        let mut again = BytesMut::new();
        connection
            .encoder
            .encode(&command, &mut again)
            .map_err(|error| format!("not encoded again: {error}"))?;
        differs(&self.frame, &again)
    }
}

/// Whether `frame` begins with its own size. A frame without has a type there, which is no 0.
fn has_size(frame: &[u8]) -> bool {
    frame
        .first_chunk::<4>()
        .is_some_and(|size| u32::from_be_bytes(*size) as usize == frame.len() - 4)
}

fn differs(expected: &[u8], found: &[u8]) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let at = expected.iter().zip(found).take_while(|(one, other)| one == other).count();
    let show = |bytes: &[u8]| {
        bytes.iter().skip(at).take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    Err(format!(
        "encoded again, byte {at} differs: {} expected, {} found ({} and {} bytes)",
        show(expected),
        show(found),
        expected.len(),
        found.len()
    ))
}

fn unhex(text: &str) -> Result<Bytes, String> {
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if !odd.is_empty() {
        return Err("`hex` has half a byte".into());
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect::<Option<Bytes>>()
        .ok_or_else(|| "`hex` is not hexadecimal".into())
}
