//! Log messages read as one voice: lower-case first word, no full stop at the end.

use std::path::Path;

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

pub(super) fn check(path: &Path, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let imports = text.contains("use tracing::");
    for level in LEVELS {
        for (at, opening) in text.match_indices(&format!("{level}!(")) {
            if !imports && !text[..at].ends_with("tracing::") || part_of_longer_name(&text[..at]) {
                continue;
            }
            let arguments = &text[at + opening.len()..];
            if let Some(complaint) = message(arguments).and_then(judge) {
                let line = text[..at].lines().count().max(1);
                complaints.push(format!("{}:{line}: {complaint}", path.display()));
            }
        }
    }
    complaints
}

fn part_of_longer_name(before: &str) -> bool {
    before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// The first argument that is a plain string literal: the message. Fields come before it.
fn message(arguments: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut at_start = true;
    let mut rest = arguments;
    while let Some(c) = rest.chars().next() {
        match c {
            '"' => {
                let literal = literal(rest)?;
                if at_start && depth == 0 {
                    return Some(literal);
                }
                rest = rest.get(literal.len() + 2..)?;
                at_start = false;
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => at_start = true,
            c if c.is_whitespace() => {}
            _ => at_start = false,
        }
        rest = rest.get(c.len_utf8()..)?;
    }
    None
}

/// The inside of the string literal that `text` begins with.
fn literal(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('"')?;
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            '"' if !escaped => return inside.get(..at),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

/// An acronym may begin a message; a sentence may not.
fn judge(message: &str) -> Option<String> {
    let mut letters = message.chars();
    let capital = letters.next().is_some_and(char::is_uppercase)
        && letters.next().is_some_and(char::is_lowercase);
    if capital {
        Some(format!("log message `{message}` begins with a capital"))
    } else if message.ends_with('.') {
        Some(format!("log message `{message}` ends with a full stop"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> usize {
        check(Path::new("a.rs"), text).len()
    }

    /// Written so that this file itself holds no log call to complain of.
    fn warning(arguments: &str) -> usize {
        complaints(&format!("tracing::{}!({arguments});", "warn"))
    }

    #[test]
    fn messages_after_fields_are_found() {
        assert_eq!(warning(r#"code = "A.", n = f(1, "B."), "stream ended""#), 0);
        assert_eq!(warning(r#"code = "a", n = f(1, "b"), "Stream ended""#), 1);
        assert_eq!(warning(r#""ready.""#), 1);
        assert_eq!(warning(r#""TLS files reloaded""#), 0);
    }

    #[test]
    fn other_macros_are_left_alone() {
        assert_eq!(complaints(&format!("compile_{}!(\"Bad.\");", "error")), 0);
        assert_eq!(complaints(&format!("use tracing::info;\n{}!(\"Bad.\");", "info")), 1);
    }
}
