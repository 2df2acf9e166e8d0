//! SPDX licence expressions: whether an allow-list satisfies one.

/// True if some reading of `expression` uses allowed licences only. Knows `AND`, `OR`, `WITH`,
/// parentheses, and the old `/` for `OR`; anything else is refused.
pub(crate) fn allows(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, allowed };
    reader.any() == Some(true) && reader.words.is_empty()
}

/// A recursive descent over the words; `None` is a malformed expression.
struct Reader<'a> {
    words: &'a [&'a str],
    allowed: &'a [String],
}

impl Reader<'_> {
    fn any(&mut self) -> Option<bool> {
        let mut allowed = self.all()?;
        while self.take("OR") {
            allowed |= self.all()?;
        }
        Some(allowed)
    }

    fn all(&mut self) -> Option<bool> {
        let mut allowed = self.one()?;
        while self.take("AND") {
            allowed &= self.one()?;
        }
        Some(allowed)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let inside = self.any()?;
            return self.take(")").then_some(inside);
        }
        let mut licence = self.word()?.to_owned();
        if self.take("WITH") {
            licence = format!("{licence} WITH {}", self.word()?);
        }
        Some(self.allowed.contains(&licence))
    }

    fn word(&mut self) -> Option<&str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = self.words.get(1..).unwrap_or_default();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::allows;

    #[test]
    fn one_allowed_reading_is_enough() {
        let list =
            ["MIT".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned(), "ISC".to_owned()];
        for good in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT/GPL-2.0",
            "(MIT OR X) AND ISC",
            "Apache-2.0 WITH LLVM-exception OR X",
        ] {
            assert!(allows(good, &list), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0", "(MIT", "MIT MIT", "", "OR MIT"] {
            assert!(!allows(bad, &list), "{bad}");
        }
    }
}
