//! Version constraints as Apache Ivy writes them (reference `airship.md` 1.3).
//!
//! Called by `predicate`. White space does not count. A version's qualifier, from the first `-`
//! on, is ignored on both sides, as the current SDKs do; ranges compare the first three numbers.

/// A constraint on a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Constraint {
    /// `+`.
    Any,
    /// `1.2.+`: the text starts with this.
    Prefix(Box<str>),
    /// `1.2`: the text is this.
    Exact(Box<str>),
    /// `[1.0,2.0[` and the like. Each end: the version and whether it is included.
    Range { low: Option<([u64; 3], bool)>, high: Option<([u64; 3], bool)> },
}

impl Constraint {
    /// Reads a constraint; `None` when it is not one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|character| !character.is_whitespace()).collect();
        if let Some(prefix) = text.strip_suffix('+') {
            let any = prefix.is_empty();
            return Some(if any { Self::Any } else { Self::Prefix(unqualified(prefix).into()) });
        }
        if is_version(unqualified(&text)) {
            return Some(Self::Exact(unqualified(&text).into()));
        }
        Self::parse_range(&text)
    }

    fn parse_range(text: &str) -> Option<Self> {
        let mut inside = text.chars();
        let (open, close) = (inside.next()?, inside.next_back()?);
        let (low, high) = inside.as_str().split_once(',')?;
        let end = |version: &str| -> Option<Option<[u64; 3]>> {
            match unqualified(version) {
                "" => Some(None),
                version if is_version(version) => numbers(version).map(Some),
                _ => None,
            }
        };
        let (low, high) = (end(low)?, end(high)?);
        // A parenthesis stands for infinity only.
        let low = match (open, low) {
            ('[', low) => low.map(|low| (low, true)),
            (']', low) => low.map(|low| (low, false)),
            ('(', None) => None,
            _ => return None,
        };
        let high = match (close, high) {
            (']', high) => high.map(|high| (high, true)),
            ('[', high) => high.map(|high| (high, false)),
            (')', None) => None,
            _ => return None,
        };
        Some(Self::Range { low, high })
    }

    /// Whether a version meets the constraint.
    pub(super) fn admits(&self, version: &str) -> bool {
        let version = unqualified(version);
        match self {
            Self::Any => true,
            Self::Prefix(prefix) => version.starts_with(&**prefix),
            Self::Exact(exact) => version == &**exact,
            Self::Range { low, high } => numbers(version).is_some_and(|version| {
                low.is_none_or(|(low, included)| version > low || (included && version == low))
                    && high.is_none_or(|(high, included)| {
                        version < high || (included && version == high)
                    })
            }),
        }
    }
}

/// A version without white space around it and without its qualifier.
fn unqualified(version: &str) -> &str {
    let version = version.trim();
    match version.find('-') {
        Some(at) if at > 0 => version.get(..at).unwrap_or(version),
        _ => version,
    }
}

/// Whether it is numbers with points between them.
fn is_version(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split('.').all(is_number)
}

/// The first three numbers of a version, 0 where there are fewer; `None` when one is no number.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let mut numbers = [0; 3];
    for (number, part) in numbers.iter_mut().zip(version.split('.')) {
        if !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_admit_what_ivy_admits() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("1.0", &["1.0", " 1.0 ", "1.0-SNAPSHOT"], &["1", "1.0.0", "1.1", "0.9"]),
            (" 1.0 ", &["1.0"], &["2.0"]),
            ("1.0-beta", &["1.0", "1.0-rc1"], &["1.0.0"]),
            ("1.2.3.4", &["1.2.3.4"], &["1.2.3"]),
            ("+", &["1.0", "", "x"], &[]),
            ("1.0.+", &["1.0.1", "1.0.a", "1.0.0-SNAPSHOT"], &["1", "1.0", "1.01", "1.0-SNAPSHOT"]),
            ("1.0+", &["1.0", "1.01", "1.0.1", "1.0-alpha"], &["1", "1.11", "2-SNAPSHOT"]),
            ("[1.0, 2.0]", &["1.0", "1.5", "2.0", "2.0-beta", "2"], &["0.9.9", "2.0.1", "3.0"]),
            ("[1.0 ,2.0[", &["1.0", "1.9.9"], &["2.0", "2.0-beta", "0.0"]),
            ("]1.0,2.0]", &["1.0.1", "2.0"], &["1.0", "1.0-SNAPSHOT", "2.0.1"]),
            ("]1.0,2.0[", &["1.0.1"], &["1.0", "2.0"]),
            ("[1.0,)", &["1.0", "999.999.999"], &["0.9.9", "x", "", "1.x"]),
            ("(,2.0]", &["0.0", "2.0"], &["2.0.1"]),
            ("(,2.0[", &["1.9.9.9"], &["2.0"]),
            ("(,)", &["1"], &["one"]),
            ("[1.22.6.189,)", &["1.22.6", "1.22.6.188"], &["1.22.5.200"]),
            ("[18.4.1,19.2.3]", &["18.4.1", "19", "19.2.3"], &["18.4", "19.2.4"]),
        ];
        for (constraint, admitted, refused) in table {
            let parsed = Constraint::parse(constraint).unwrap();
            for version in *admitted {
                assert!(parsed.admits(version), "{constraint} {version}");
            }
            for version in *refused {
                assert!(!parsed.admits(version), "{constraint} {version}");
            }
        }
        for bad in [
            "",
            "1.a",
            "(1.0,2.0]",
            "[1.0,2.0)",
            "),2.0]",
            "[1.0,2.0(",
            "[1.0]",
            "[,",
            "1.",
            "[a,b]",
            "[",
        ] {
            assert_eq!(Constraint::parse(bad), None, "{bad}");
        }
    }
}
