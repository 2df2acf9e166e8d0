//! A small schema language in the notation of the reference tables, and its checker.
//!
//! `push_id! uuid, kind A|B, deep{x! int}, list[str], rows[{x! int}], map{* [str]}, context OBJECT`:
//! `!` marks what is required; capitals without `|` name another schema; members that are not named
//! are errors.

use std::collections::BTreeMap;

use serde_json::Value;

/// One type of value.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Word(String),
    OneOf(Vec<String>),
    List(Box<Shape>),
    Object(Vec<Member>),
}

/// One member of an object; the name `*` stands for any.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    name: String,
    required: bool,
    shape: Shape,
}

/// Named lists of members, to be spliced in where `+NAME` stands.
pub(crate) type Parts = BTreeMap<&'static str, &'static str>;

/// Reads `text`, the inside of an object.
pub(crate) fn parse(text: &str, parts: &Parts) -> Shape {
    let mut rest = text;
    let members = members(&mut rest, parts);
    assert!(rest.is_empty(), "`{rest}` is left of `{text}`");
    Shape::Object(members)
}

fn word<'a>(rest: &mut &'a str) -> &'a str {
    *rest = rest.trim_start();
    let end =
        rest.find(|c: char| !(c.is_alphanumeric() || "_.-*|+".contains(c))).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after.trim_start();
    word
}

fn skip(rest: &mut &str, sign: char) -> bool {
    match rest.trim_start().strip_prefix(sign) {
        Some(after) => {
            *rest = after.trim_start();
            true
        }
        None => false,
    }
}

fn members(rest: &mut &str, parts: &Parts) -> Vec<Member> {
    let mut found = Vec::new();
    loop {
        let name = word(rest);
        if let Some(part) = name.strip_prefix('+') {
            let Shape::Object(more) = parse(parts[part], parts) else {
                panic!("a part is an object")
            };
            found.extend(more);
        } else if !name.is_empty() {
            let required = skip(rest, '!');
            found.push(Member { name: name.into(), required, shape: shape(rest, parts) });
        }
        if !skip(rest, ',') {
            return found;
        }
    }
}

fn shape(rest: &mut &str, parts: &Parts) -> Shape {
    if skip(rest, '{') {
        let object = Shape::Object(members(rest, parts));
        assert!(skip(rest, '}'), "no `}}` at `{rest}`");
        object
    } else if skip(rest, '[') {
        let list = Shape::List(Box::new(shape(rest, parts)));
        assert!(skip(rest, ']'), "no `]` at `{rest}`");
        list
    } else {
        let word = word(rest);
        if word.contains('|') {
            return Shape::OneOf(word.split('|').map(Into::into).collect());
        }
        match parts.get(word) {
            Some(part) => parse(part, parts),
            None => Shape::Word(word.into()),
        }
    }
}

/// Says what is wrong with `value`, and where.
pub(crate) fn check(value: &Value, shape: &Shape, at: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{at}: {what}, not {value}"));
    match shape {
        Shape::Word(word) => match word.as_str() {
            "str" if !value.is_string() => wrong("a string"),
            "int" if !value.is_i64() => wrong("an integer"),
            "num" if !value.is_number() => wrong("a number"),
            "num_or_str" if !value.is_number() && !value.is_string() => {
                wrong("a number or a string")
            }
            "bool" if !value.is_boolean() => wrong("a boolean"),
            "any" | "str" | "int" | "num" | "num_or_str" | "bool" => Ok(()),
            "flag_text" => {
                one_of(value, &["true", "false"]).map_or_else(|| wrong("\"true\" or \"false\""), Ok)
            }
            "uuid" if !is_uuid(value) => wrong("a uuid"),
            "ts" if !is_time(value) => wrong("a time"),
            "decimal" if !is_decimal(value) => wrong("a decimal string"),
            "uuid" | "ts" | "decimal" => Ok(()),
            literal => one_of(value, &[literal]).map_or_else(|| wrong(literal), Ok),
        },
        Shape::OneOf(words) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            one_of(value, &words).map_or_else(|| wrong(&words.join("|")), Ok)
        }
        Shape::List(item) => {
            let Some(items) = value.as_array() else { return wrong("an array") };
            items
                .iter()
                .enumerate()
                .try_for_each(|(i, value)| check(value, item, &format!("{at}[{i}]")))
        }
        Shape::Object(members) => check_object(value, members, at),
    }
}

fn check_object(value: &Value, members: &[Member], at: &str) -> Result<(), String> {
    let Some(object) = value.as_object() else {
        return Err(format!("{at}: an object, not {value}"));
    };
    for member in members.iter().filter(|member| member.required) {
        object.get(&member.name).ok_or_else(|| format!("{at}: no `{}`", member.name))?;
    }
    for (name, value) in object {
        let named = |member: &&Member| member.name == *name || member.name == "*";
        let member = members
            .iter()
            .find(named)
            .ok_or_else(|| format!("{at}: `{name}` is not in the table"))?;
        check(value, &member.shape, &format!("{at}.{name}"))?;
    }
    Ok(())
}

fn one_of(value: &Value, words: &[&str]) -> Option<()> {
    words.contains(&value.as_str()?).then_some(())
}

fn is_uuid(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    let dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| {
            if dash(at) { b == b'-' } else { matches!(b, b'0'..=b'9' | b'a'..=b'f') }
        })
}

fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 24
        && text.ends_with('Z')
        && outflow_model::Timestamp::parse_rfc3339(text.as_bytes()).is_some()
}

fn is_decimal(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains('.') && text.parse::<f64>().is_ok())
}
