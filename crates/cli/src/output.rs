//! What goes to standard output: tables and records for people, JSON for programs.
//!
//! Called by the commands; nothing else writes to standard output but [`crate::tail`].

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::failure::Failure;

/// A column of a table: its title and the JSON pointer of its value.
pub(crate) type Column = (&'static str, &'static str);

/// Prints a list: one JSON array, or a table.
pub(crate) fn list(json: bool, items: &[Value], columns: &[Column]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, items).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    write_table(&mut out, items, columns)?;
    Ok(())
}

/// Prints one thing: its JSON, or a line per member.
pub(crate) fn record(json: bool, item: &Value) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, item).map_err(io::Error::from)?;
        writeln!(out)?;
        return Ok(());
    }
    write_record(&mut out, item)?;
    Ok(())
}

/// Prints one line of data.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(())
}

/// Prints a message for people; messages are never data, so a failure to print one is ignored.
pub(crate) fn message(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether standard output should be coloured: a terminal, and nobody asked for plain text
/// (<https://no-color.org>).
pub(crate) fn colour() -> bool {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !plain
}

fn write_table(out: &mut impl Write, items: &[Value], columns: &[Column]) -> io::Result<()> {
    let cell = |item: &Value, pointer: &str| item.pointer(pointer).map_or(String::new(), brief);
    let mut rows: Vec<Vec<String>> = Vec::with_capacity(items.len() + 1);
    rows.push(columns.iter().map(|(title, _)| title.to_uppercase()).collect());
    rows.extend(items.iter().map(|item| columns.iter().map(|(_, at)| cell(item, at)).collect()));
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn write_record(out: &mut impl Write, item: &Value) -> io::Result<()> {
    let mut lines = Vec::new();
    flatten("", item, &mut lines);
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in lines {
        writeln!(out, "{name:width$}  {value}")?;
    }
    Ok(())
}

/// Members in order, those of nested objects as `outer.inner`.
fn flatten(prefix: &str, item: &Value, lines: &mut Vec<(String, String)>) {
    let Value::Object(members) = item else {
        lines.push((prefix.to_owned(), brief(item)));
        return;
    };
    for (name, value) in members {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        flatten(&name, value, lines);
    }
}

/// One value on one line. Control characters are escaped: what others named must not drive a
/// terminal.
fn brief(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.chars().flat_map(escape).collect(),
        Value::Array(items) => items.iter().map(brief).collect::<Vec<_>>().join(","),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

fn escape(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = (!c.is_control()).then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_lines_up_and_holds_no_control_characters() {
        let items = [
            json!({"id": "a", "s": {"n": 1}}),
            json!({"id": "longer\u{1b}[31m", "s": {"n": null}}),
        ];
        let mut out = Vec::new();
        write_table(&mut out, &items, &[("id", "/id"), ("n", "/s/n")]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "ID                N\na                 1\nlonger\\u{1b}[31m  -\n");
    }

    #[test]
    fn a_record_names_nested_members() {
        let mut out = Vec::new();
        write_record(
            &mut out,
            &json!({"id": "a", "limits": {"connections": 5}, "types": ["A", "B"]}),
        )
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "id                  a\nlimits.connections  5\ntypes               A,B\n");
    }
}
