//! Which characters a document may have, and which names (XML 1.0, fifth edition, 2.2 and 2.3). The
//! parser takes markup apart and does not ask.
//!
//! Called by [`super`].

use quick_xml::events::BytesStart;

/// Whether `c` may be in a document (production 2).
pub(super) const fn is_character(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// The space that is layout (production 3): less than what Unicode calls so.
pub(super) const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Whether `text` is a name (production 5).
pub(super) fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(begins_name) && characters.all(continues_name)
}

/// Production 4.
const fn begins_name(c: char) -> bool {
    matches!(c,
        ':' | 'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}'
        | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}'
        | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
        | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

/// Production 4a.
const fn continues_name(c: char) -> bool {
    begins_name(c)
        || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// Whether space parts each attribute from what is before it, and no value holds a `<`
/// (productions 10 and 40).
pub(super) fn are_parted(start: &BytesStart<'_>) -> bool {
    let mut quote = None;
    let mut was_closed = false;
    for c in start.attributes_raw().chars() {
        if was_closed && !is_space(c) {
            return false;
        }
        was_closed = quote == Some(c);
        quote = match (quote, c) {
            (Some(_), '<') => return false,
            (Some(open), c) if open == c => None,
            (None, '"' | '\'') => Some(c),
            (quote, _) => quote,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_standard() {
        for name in ["a", "_", ":", "a-b.1", "é", "n:x", "\u{3042}", "a\u{300}"] {
            assert!(is_name(name), "{name}");
        }
        for other in ["", "1a", "-a", ".a", "a b", "a\0", "a/", "\u{300}a", "a=", "a\u{d7}"] {
            assert!(!is_name(other), "{other}");
        }
    }
}
