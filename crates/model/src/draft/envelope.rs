//! Reading an event that came as a JSON object: which members are the envelope's, and what they
//! must be.
//!
//! Called by [`super::Draft`]; calls the JSON scanner and `render`. One pass: every byte of the
//! event is checked once and copied once.

use super::render::Head;
use super::{Draft, EventError, Rules};
use crate::id::{EventId, EventType, NameError, OFFSET_UPDATE};
use crate::json::{Kind, Member, Raw, Scanner, Value, append_one_line};
use crate::{DeviceType, Rng, Timestamp, subset};

/// The envelope's members found so far.
#[derive(Default)]
struct Envelope<'a> {
    id: Option<Member<'a>>,
    event_type: Option<Member<'a>>,
    occurred: Option<Member<'a>>,
    key: Option<Member<'a>>,
    headers: Option<Member<'a>>,
    body: Option<Member<'a>>,
    device: Option<Member<'a>>,
}

impl<'a> Envelope<'a> {
    /// Where a member called `name` is kept; `None` for those that may come more than once.
    const fn slot(&mut self, name: &[u8]) -> Option<&mut Option<Member<'a>>> {
        match name {
            b"id" => Some(&mut self.id),
            b"type" => Some(&mut self.event_type),
            b"occurred" => Some(&mut self.occurred),
            b"key" => Some(&mut self.key),
            b"headers" => Some(&mut self.headers),
            b"body" => Some(&mut self.body),
            b"device" => Some(&mut self.device),
            _ => None,
        }
    }
}

/// Appends the event that is all of `text`, which is UTF-8.
pub(super) fn push_whole(
    draft: &mut Draft,
    text: &[u8],
    rules: &Rules,
    rng: &dyn Rng,
) -> Result<(), EventError> {
    let mut scanner = Scanner::new(text, 0);
    scanner.space();
    push_next(draft, &mut scanner, rules, rng)?;
    Ok(scanner.end()?)
}

/// Appends the event whose object starts where `scanner` stands, and moves behind it. Positions in
/// errors count from the start of the scanner's text. On an error the draft is left half written.
pub(super) fn push_next(
    draft: &mut Draft,
    scanner: &mut Scanner<'_>,
    rules: &Rules,
    rng: &dyn Rng,
) -> Result<(), EventError> {
    if rules.max_depth == 0 {
        return Err(scanner.fault(crate::json::Fault::TooDeep).into());
    }
    // Taken out so that it can be written while the draft is borrowed; put back for its capacity.
    let mut others = std::mem::take(&mut draft.others);
    others.clear();
    let pushed = read(scanner, &mut others, rules)
        .and_then(|envelope| write(draft, &envelope, &others, rules, rng));
    draft.others = others;
    pushed
}

/// Reads all members; copies those that are not the envelope's to `others`.
fn read<'a>(
    scanner: &mut Scanner<'a>,
    others: &mut Vec<u8>,
    rules: &Rules,
) -> Result<Envelope<'a>, EventError> {
    let start = scanner.at();
    let mut envelope = Envelope::default();
    let mut first = true;
    scanner.open_object()?;
    while let Some(member) = scanner.member(first, rules.max_depth - 1)? {
        first = false;
        let name = member.name.unescape();
        if let Some(slot) = envelope.slot(&name) {
            if slot.replace(member).is_some() {
                let reason = format!("member `{}` comes twice", member.name.to_text());
                return Err(EventError::new(member.name_at, reason));
            }
            if *name != *b"device" {
                continue;
            }
        }
        // The server gives its own.
        if !matches!(&*name, b"offset" | b"processed") {
            others.extend_from_slice(b",\"");
            others.extend_from_slice(member.name.as_written());
            others.extend_from_slice(b"\":");
            append_value(&member, others);
        }
    }
    if scanner.at() - start > rules.max_event_bytes {
        return Err(EventError::too_large(rules.max_event_bytes));
    }
    Ok(envelope)
}

fn write(
    draft: &mut Draft,
    envelope: &Envelope<'_>,
    others: &[u8],
    rules: &Rules,
    rng: &dyn Rng,
) -> Result<(), EventError> {
    let id = envelope.id.as_ref().map(|member| plain(member, "id", EventId::check)).transpose()?;
    let event_type = match &envelope.event_type {
        Some(member) => plain(member, "type", EventType::check)
            .and_then(|text| not_reserved(text, member.value_at + 1))?,
        None => b"EVENT",
    };
    let occurred = match &envelope.occurred {
        Some(member) => occurred(member, rules)?,
        None => rules.now,
    };
    let key = envelope.key.as_ref().map(|member| string(member, "key")).transpose()?;
    if let Some(headers) = &envelope.headers {
        check_headers(headers)?;
    }
    let mut head = Head::begin(draft, id, event_type, occurred, rules, rng);
    if let Some(device) = &envelope.device {
        head.meta.device = device_type(device);
    }
    let out = &mut draft.lines;
    if let Some(key) = key {
        head.meta.key_hash = subset::key_hash(&key.unescape());
        out.extend_from_slice(b",\"key\":\"");
        out.extend_from_slice(key.as_written());
        out.push(b'"');
    }
    out.extend_from_slice(others);
    if let Some(headers) = &envelope.headers {
        out.extend_from_slice(b",\"headers\":");
        append_value(headers, out);
    }
    if let Some(body) = &envelope.body {
        head.begin_body(out);
        append_value(body, out);
        head.end_body(out);
    }
    head.finish(draft, id.is_some())
}

fn append_value(member: &Member<'_>, out: &mut Vec<u8>) {
    if member.has_newlines {
        append_one_line(member.value, out);
    } else {
        out.extend_from_slice(member.value);
    }
}

/// The string that member `name` must be.
fn string<'a>(member: &Member<'a>, name: &str) -> Result<Raw<'a>, EventError> {
    let wrong = || EventError::new(member.value_at, format!("`{name}` must be a string"));
    Value::new(member.value).as_string().ok_or_else(wrong)
}

/// The text of an id or type: a string of characters that need no escape.
fn plain<'a>(
    member: &Member<'a>,
    name: &str,
    check: fn(&[u8]) -> Result<(), NameError>,
) -> Result<&'a [u8], EventError> {
    let text = string(member, name)?.as_written();
    check(text).map_err(|error| name_error(member.value_at + 1, name, text, &error))?;
    Ok(text)
}

/// The refusal of `text`, an id or type, which starts at byte `inside`.
pub(super) fn name_error(inside: usize, name: &str, text: &[u8], error: &NameError) -> EventError {
    let (at, reason) = match *error {
        NameError::Length { .. } | NameError::Segment => (0, format!("`{name}` {error}")),
        NameError::Character { at } if text.get(at) == Some(&b'\\') => {
            (at, format!("`{name}` must be written without escapes"))
        }
        NameError::Character { at } => {
            (at, format!("`{name}` must be printable ascii without quotes or backslashes"))
        }
    };
    EventError::new(inside + at, reason)
}

/// The type `text`, which stands at byte `at`, unless it is the server's own.
pub(super) fn not_reserved(text: &[u8], at: usize) -> Result<&[u8], EventError> {
    if text == OFFSET_UPDATE.as_bytes() {
        return Err(EventError::new(at, "`type` OFFSET_UPDATE is the server's own"));
    }
    Ok(text)
}

/// When the event happened, held to the rules.
fn occurred(member: &Member<'_>, rules: &Rules) -> Result<Timestamp, EventError> {
    let raw = string(member, "occurred")?;
    let occurred = Timestamp::parse_rfc3339(raw.as_written());
    let wrong = || "`occurred` must be an RFC 3339 time such as 2016-12-08T21:27:01.125Z".into();
    let held = occurred.ok_or_else(wrong).and_then(|occurred| hold_to_rules(occurred, rules));
    held.map_err(|reason| EventError::new(member.value_at, reason))
}

/// Takes times far ahead as now; refuses those too long ago.
pub(super) fn hold_to_rules(occurred: Timestamp, rules: &Rules) -> Result<Timestamp, String> {
    let age = rules.now.millis() - occurred.millis();
    if age > rules.max_age_ms {
        let days = rules.max_age_ms / 86_400_000;
        return Err(format!("`occurred` is {occurred}, longer ago than the {days} days allowed"));
    }
    Ok(if age < -rules.max_ahead_ms { rules.now } else { occurred })
}

/// Headers are an object of strings.
fn check_headers(member: &Member<'_>) -> Result<(), EventError> {
    let headers = Value::new(member.value);
    let reason = if !matches!(headers.kind(), Kind::Object) {
        "`headers` must be an object of strings".to_owned()
    } else if let Some((name, _)) = headers.members().find(|(_, value)| value.as_string().is_none())
    {
        format!("header `{}` must be a string", name.to_text())
    } else {
        return Ok(());
    };
    Err(EventError::new(member.value_at, reason))
}

fn device_type(member: &Member<'_>) -> DeviceType {
    let device_type = Value::new(member.value).get(b"device_type").and_then(Value::as_string);
    device_type.map_or(DeviceType::None, |raw| DeviceType::parse(&raw.unescape()))
}
