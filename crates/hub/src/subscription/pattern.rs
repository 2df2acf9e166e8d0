//! Names of streams by wildcard.
//!
//! Called by the directory of subscriptions. A pattern is a path, or several with `,` between, of
//! which any will do; no stream's name has a `,`. Elements of a path are separated by `.`; `*` stands
//! for one element, a final `>` for any number of them, none included (reference `activemq.md` a3).
//! A first element with a `:` in it, as in queues' names, is only meant when it is written out.

use std::fmt;
use std::sync::Arc;

/// A pattern of streams' names. See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPattern(Arc<str>);

/// Why a pattern was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A path is empty or longer than a stream's name may be, or all are too long together.
    #[error("a pattern has 1 to {max} characters", max = outflow_model::StreamName::MAX_BYTES)]
    Length,
    /// `>` stands before the end, or an element is empty.
    #[error("`>` may only be the last element, and no element may be empty")]
    Element,
}

/// How long all paths of a pattern may be together, in bytes.
const MAX_BYTES: usize = 4_096;

impl StreamPattern {
    /// What stands between its paths.
    pub(crate) const BETWEEN: char = ',';

    /// Takes `text` as a pattern.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_BYTES {
            return Err(PatternError::Length);
        }
        for path in text.split(Self::BETWEEN) {
            if path.is_empty() || path.len() > outflow_model::StreamName::MAX_BYTES {
                return Err(PatternError::Length);
            }
            let mut elements = path.split('.').peekable();
            while let Some(element) = elements.next() {
                if element.is_empty() || (element == ">" && elements.peek().is_some()) {
                    return Err(PatternError::Element);
                }
            }
        }
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its paths.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.split(Self::BETWEEN)
    }

    /// Whether it accepts `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.paths().any(|path| accepts(path, name))
    }
}

/// Whether `path` accepts `name`.
fn accepts(path: &str, name: &str) -> bool {
    let mut elements = name.split('.');
    // Names with a prefix, such as those of queues, are meant by name only.
    let is_prefixed = name.split('.').next().is_some_and(|first| first.contains(':'));
    if is_prefixed && matches!(path.split('.').next(), Some("*" | ">")) {
        return false;
    }
    for wanted in path.split('.') {
        match wanted {
            ">" => return true,
            "*" => {
                if elements.next().is_none() {
                    return false;
                }
            }
            exact => {
                if elements.next() != Some(exact) {
                    return false;
                }
            }
        }
    }
    elements.next().is_none()
}

impl fmt::Display for StreamPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_are_one_element_and_a_final_angle_any_number() {
        let matches =
            |pattern: &str, name: &str| StreamPattern::new(pattern).unwrap().matches(name);
        assert!(matches("a.>", "a") && matches("a.>", "a.b.c") && matches(">", "x"));
        assert!(matches("*.RTO.x", "d.RTO.x") && !matches("*.RTO.x", "d.e.RTO.x"));
        assert!(matches("a.*", "a.b") && !matches("a.*", "a") && !matches("a.*", "a.b.c"));
        assert!(!matches(">", "queue:a") && !matches("*.b", "queue:a.b"));
        assert!(matches("queue:a.*", "queue:a.b"));
        assert!(matches("a.b", "a.b") && !matches("a.b", "a.c") && !matches("a.b", "a.b.c"));
        assert!(matches("a.*,b", "a.x") && matches("a.*,b", "b") && !matches("a.*,b", "b.x"));
        assert!(!matches("a,>", "queue:a"));
        for bad in ["", "a..b", "a.>.b", ".", "a,", ",a", "a,b..c"] {
            StreamPattern::new(bad).unwrap_err();
        }
    }
}
