//! Typed properties as headers, which are texts, and back.
//!
//! Called by [`super::letter`] and [`super::message`].
//!
//! [`TYPES`] keeps the types of those that are no texts: `i:count;d:price`, a letter,
//! a colon and the header's name, with semicolons between them.

use std::collections::HashSet;
use std::fmt::Write;

use bytes::{BufMut as _, Bytes, BytesMut};
use outflow_broker::letter::{Header, TYPES};

use crate::error::Failure;
use crate::wire::primitive::{self, Primitive};

/// What stands before the name of a property that is also the name of a header of ours.
const PREFIX: &str = outflow_hub::subscription::headers::PROPERTY;

/// The headers that say what no property says.
const TAKEN: [&str; 15] = [
    "type",
    "priority",
    "persistent",
    "correlation-id",
    "reply-to",
    "destination",
    "message-id",
    "timestamp",
    "expires",
    "content-length",
    "amq-msg-type",
    "receipt",
    "transaction",
    "JMSXGroupSeq",
    "JMSXUserID",
];

/// How many properties a message may have.
const MAX_PROPERTIES: usize = 1_000;

/// Appends the headers that the properties `map` are; tells whether [`write()`] makes the same bytes
/// of them.
///
/// # Errors
/// [`Failure`] when they cannot be read, or one has a type that no header can hold.
pub(super) fn read(bytes: &Bytes, headers: &mut Vec<Header<'_>>) -> Result<bool, Failure> {
    let from = headers.len();
    let map = primitive::read_map(bytes)
        .map_err(|error| Failure::malformed(format!("The properties are malformed: {error}")))?;
    let Some(map) = map else { return Ok(false) };
    if map.len() > MAX_PROPERTIES {
        let most = format!("A message may have at most {MAX_PROPERTIES} properties");
        return Err(Failure::malformed(most));
    }
    let mut types = String::new();
    for (name, value) in map {
        let (letter, text) = match value {
            Primitive::Null => continue,
            Primitive::Text(text) => ("", text.to_string()),
            Primitive::Bool(value) => ("z", value.to_string()),
            Primitive::Byte(value) => ("b", value.to_string()),
            Primitive::Short(value) => ("s", value.to_string()),
            Primitive::Int(value) => ("i", value.to_string()),
            Primitive::Long(value) => ("l", value.to_string()),
            Primitive::Float(value) => ("f", java(&format!("{value:e}"), value.abs().into())),
            Primitive::Double(value) => ("d", java(&format!("{value:e}"), value.abs())),
            Primitive::Char(unit) => ("c", unit.to_string()),
            Primitive::Bytes(_) | Primitive::Map(_) | Primitive::List(_) => {
                let message = format!("The property {name} is neither a text nor a number");
                return Err(Failure::malformed(message));
            }
        };
        let is_taken = name.starts_with("outflow-") || TAKEN.contains(&&*name);
        let name = if is_taken { [PREFIX, &*name].concat() } else { name.to_string() };
        if !letter.is_empty() && !name.contains(';') {
            let separator = if types.is_empty() { "" } else { ";" };
            // Writing to a string does not fail.
            let _ = write!(types, "{separator}{letter}:{name}");
        }
        headers.push((name.into(), text.into()));
    }
    let written = write(headers.get(from..).unwrap_or_default(), &types, None);
    if !types.is_empty() {
        headers.push((TYPES.into(), types.into()));
    }
    Ok(written.as_ref() == Some(bytes))
}

/// A number as Java's `Double.toString` and `Float.toString` write it, which is what clients of
/// other faces got from ActiveMQ: `shortest` has the fewest digits that tell it apart, as `1.5e-7`.
fn java(shortest: &str, size: f64) -> String {
    let Some((digits, exponent)) = shortest.split_once('e') else {
        return match shortest {
            "inf" => "Infinity".to_owned(),
            "-inf" => "-Infinity".to_owned(),
            other => other.to_owned(),
        };
    };
    if size != 0.0 && !(1e-3..1e7).contains(&size) {
        let point = if digits.contains('.') { "" } else { ".0" };
        return format!("{digits}{point}E{exponent}");
    }
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let digits = digits.replace('.', "");
    // Between -3 and 6 here; what is behind the point begins after so many digits.
    let whole = exponent.parse::<i32>().unwrap_or(0) + 1;
    let Ok(whole) = usize::try_from(whole) else {
        return format!("{sign}0.{}{digits}", "0".repeat(whole.unsigned_abs() as usize));
    };
    let padded = format!("{digits:0<whole$}");
    let (before, after) = padded.split_at(whole.min(padded.len()));
    let or_zero = |digits: &str| if digits.is_empty() { "0".to_owned() } else { digits.to_owned() };
    format!("{sign}{}.{}", or_zero(before), or_zero(after))
}

/// The property that says why a message is a dead letter.
const CAUSE: &str = "dlqDeliveryFailureCause";

/// The properties that an event's headers are, as messages have them, written in one pass; `None`:
/// there are none. `types` is what [`TYPES`] says, `cause` why the event is a dead letter. The first
/// of a name counts.
pub(super) fn write(headers: &[Header<'_>], types: &str, cause: Option<&str>) -> Option<Bytes> {
    let types = Types::read(types);
    let sizes = headers.iter().map(|(name, value)| name.len() + value.len() + ENTRY_BYTES);
    let mut out = BytesMut::with_capacity(sizes.sum::<usize>() + ENTRY_BYTES);
    let (mut names, mut count) = (Names::default(), 0_i32);
    out.put_i32(0);
    if let Some(cause) = cause
        && names.is_new(CAUSE)
    {
        primitive::put_short_text(CAUSE, &mut out).ok()?;
        primitive::put_text(cause, &mut out).ok()?;
        count += 1;
    }
    for (header, value) in headers.iter().filter(|(header, _)| header != TYPES) {
        let name = header.strip_prefix(PREFIX).unwrap_or(header);
        if !names.is_new(name) {
            continue;
        }
        primitive::put_short_text(name, &mut out).ok()?;
        match types.of(header).and_then(|letter| typed(letter, value)) {
            Some(typed) => primitive::put_value(&typed, &mut out).ok()?,
            None => primitive::put_text(value, &mut out).ok()?,
        }
        count += 1;
    }
    out.get_mut(..4)?.copy_from_slice(&count.to_be_bytes());
    (count > 0).then(|| out.freeze())
}

/// What stands around a name and a value: two lengths and a type.
const ENTRY_BYTES: usize = 8;

/// The types of headers that stand for no texts.
struct Types<'a>(Vec<(&'a str, u8)>);

impl<'a> Types<'a> {
    fn read(types: &'a str) -> Self {
        let one = |one: &'a str| match one.split_once(':')? {
            (letter, name) if letter.len() == 1 => Some((name, *letter.as_bytes().first()?)),
            _ => None,
        };
        let mut typed: Vec<_> = types.split(';').filter_map(one).collect();
        typed.sort_by_key(|(name, _)| *name);
        Self(typed)
    }

    fn of(&self, header: &str) -> Option<u8> {
        let at = self.0.binary_search_by_key(&header, |(name, _)| name).ok()?;
        self.0.get(at).map(|(_, letter)| *letter)
    }
}

/// How many properties a message has that is not looked through name by name.
const MANY: usize = 16;

/// The names that were there.
#[derive(Default)]
struct Names<'a> {
    first: Vec<&'a str>,
    /// All, once there are many.
    many: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    /// Whether it was not there; it is from now on.
    fn is_new(&mut self, name: &'a str) -> bool {
        if self.first.len() < MANY {
            let is_new = !self.first.contains(&name);
            if is_new {
                self.first.push(name);
            }
            return is_new;
        }
        if self.many.is_empty() {
            self.many.extend(&self.first);
        }
        self.many.insert(name)
    }
}

/// The value of a property that is no text; `None`: it is none of its type.
fn typed(letter: u8, text: &str) -> Option<Primitive> {
    Some(match letter {
        b'z' => Primitive::Bool(text.parse().ok()?),
        b'b' => Primitive::Byte(text.parse().ok()?),
        b's' => Primitive::Short(text.parse().ok()?),
        b'i' => Primitive::Int(text.parse().ok()?),
        b'l' => Primitive::Long(text.parse().ok()?),
        b'f' => Primitive::Float(text.parse().ok()?),
        b'd' => Primitive::Double(text.parse().ok()?),
        b'c' => Primitive::Char(text.parse().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::primitive::Map;

    /// What becomes of properties on their way through an event's headers.
    fn through(map: &Map) -> Map {
        let mut headers = Vec::new();
        read(&primitive::write_map(map).unwrap(), &mut headers).unwrap();
        let types = headers.iter().find(|(name, _)| name == TYPES);
        let types = types.map_or("", |(_, types)| &**types);
        write(&headers, types, None)
            .map(|bytes| primitive::read_map(&bytes).unwrap().unwrap())
            .unwrap_or_default()
    }

    #[test]
    fn properties_keep_their_types_and_names() {
        let map: Map = vec![
            ("text".into(), Primitive::Text("5".into())),
            ("yes".into(), Primitive::Bool(true)),
            ("byte".into(), Primitive::Byte(-3)),
            ("short".into(), Primitive::Short(300)),
            ("int".into(), Primitive::Int(5)),
            ("long".into(), Primitive::Long(1 << 40)),
            ("float".into(), Primitive::Float(2.5)),
            ("double".into(), Primitive::Double(0.1)),
            ("char".into(), Primitive::Char(0x20AC)),
            ("type".into(), Primitive::Text("a header's name".into())),
            ("outflow-expires".into(), Primitive::Int(7)),
        ];
        assert_eq!(through(&map), map);
        assert_eq!(through(&Map::new()), Map::new());
    }

    #[test]
    fn numbers_are_written_as_java_writes_them() {
        // As `Double.toString` of JDK 19 and later has them.
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-2.5, "-2.5"),
            (100.0, "100.0"),
            (1_234_567.0, "1234567.0"),
            (9_999_999.5, "9999999.5"),
            (1e7, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (0.001, "0.001"),
            (0.012_5, "0.0125"),
            (0.000_999, "9.99E-4"),
            (1e300, "1.0E300"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(java(&format!("{number:e}"), number.abs()), text);
            let read = typed(b'd', text);
            let Some(Primitive::Double(read)) = read else { panic!("{read:?}") };
            assert_eq!(read.to_bits(), number.to_bits(), "{text}");
        }
        assert_eq!(java(&format!("{:e}", 0.1_f32), 0.1), "0.1");
    }

    #[test]
    fn of_many_properties_the_first_of_a_name_counts() {
        let names: Vec<String> = (0..40).map(|n| format!("n{n}")).collect();
        let types: Vec<String> = names.iter().map(|name| format!("i:{name}")).collect();
        let of = |value: &'static str| {
            names.iter().map(move |name| (name.as_str().into(), value.into()))
        };
        let headers: Vec<Header<'_>> = of("1").chain(of("2")).collect();
        let map = write(&headers, &types.join(";"), Some("why")).unwrap();
        let map = primitive::read_map(&map).unwrap().unwrap();
        assert_eq!(map.len(), 41);
        let cause = (CAUSE.into(), Primitive::Text("why".into()));
        assert_eq!(map[0], cause);
        assert!(map[1..].iter().all(|(_, value)| *value == Primitive::Int(1)));
    }

    #[test]
    fn a_property_that_is_no_text_or_number_is_refused() {
        let map: Map = vec![("list".into(), Primitive::List(Vec::new()))];
        let mut headers = Vec::new();
        let refused = read(&primitive::write_map(&map).unwrap(), &mut headers).unwrap_err();
        assert!(refused.message.contains("list"), "{refused}");
    }
}
