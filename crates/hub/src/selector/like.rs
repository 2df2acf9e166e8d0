//! `LIKE`: `%` stands for any characters, `_` for one.
//!
//! Made by `parser`, matched by `evaluate`. The pattern is cut at its `%`: the first piece must
//! begin the text, the last must end it, those between are looked for from left to right, so that
//! nothing is ever tried twice.

use std::cell::Cell;

use super::gapped::Gapped;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pattern {
    text: Box<str>,
    escape: Option<char>,
    /// What stands between the `%`: one piece when there is none.
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    /// These characters.
    Exact(Box<str>),
    /// The same with places for any one character.
    Gapped(Box<Gapped>),
}

/// What an evaluation may still spend; a byte or a character looked at costs about one.
#[derive(Debug)]
pub(super) struct Budget(Cell<u32>);

impl Budget {
    pub(super) const fn new(steps: u32) -> Self {
        Self(Cell::new(steps))
    }

    /// What is left.
    pub(super) const fn left(&self) -> u32 {
        self.0.get()
    }

    /// Spends `steps`; `None` when there are too few left.
    pub(super) fn spend(&self, steps: usize) -> Option<()> {
        let steps = u32::try_from(steps).ok()?;
        self.0.set(self.0.get().checked_sub(steps)?);
        Some(())
    }
}

impl Pattern {
    /// Compiles `text`. Behind `escape`, `%`, `_` and the escape itself mean themselves; before
    /// any other character it is one like any other, as the reference has it.
    pub(super) fn new(text: &str, escape: Option<char>) -> Self {
        let mut pieces = Vec::new();
        let mut piece = Vec::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let is_meant = |next: &char| matches!(next, '%' | '_') || Some(*next) == escape;
            if Some(character) == escape
                && let Some(next) = characters.next_if(is_meant)
            {
                piece.push(Some(next));
            } else if character == '%' {
                pieces.push(Piece::new(&std::mem::take(&mut piece)));
            } else {
                piece.push(Some(character).filter(|character| *character != '_'));
            }
        }
        pieces.push(Piece::new(&piece));
        Self { text: text.into(), escape, pieces }
    }

    /// The text it was compiled from.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The escape, if one was given.
    pub(super) const fn escape(&self) -> Option<char> {
        self.escape
    }

    /// Whether `text` is like this; `None` when finding out would cost too much.
    pub(super) fn matches(&self, text: &str, budget: &Budget) -> Option<bool> {
        budget.spend(text.len().min(self.text.len()) + self.pieces.len())?;
        let Some((first, others)) = self.pieces.split_first() else { return Some(false) };
        let Some(mut rest) = first.begins(text) else { return Some(false) };
        let Some((last, between)) = others.split_last() else { return Some(rest.is_empty()) };
        for piece in between {
            match piece.find(rest, budget)? {
                Some(after) => rest = after,
                None => return Some(false),
            }
        }
        Some(last.ends(rest))
    }
}

impl Piece {
    fn new(characters: &[Option<char>]) -> Self {
        let exact: Option<String> = characters.iter().copied().collect();
        let gapped = || Self::Gapped(Gapped::new(characters).into());
        exact.map_or_else(gapped, |exact| Self::Exact(exact.into()))
    }

    /// What follows it in a text that begins with it.
    fn begins<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Exact(exact) => text.strip_prefix(&**exact),
            Self::Gapped(gapped) => {
                let mut characters = text.chars();
                for place in gapped.places() {
                    let character = characters.next()?;
                    place.is_none_or(|wanted| wanted == character).then_some(())?;
                }
                Some(characters.as_str())
            }
        }
    }

    fn ends(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => text.ends_with(&**exact),
            Self::Gapped(gapped) => {
                let mut characters = text.chars().rev();
                gapped.places().iter().rev().all(|place| {
                    let character = characters.next();
                    character.is_some_and(|one| place.is_none_or(|wanted| wanted == one))
                })
            }
        }
    }

    /// What follows its first occurrence; the outer `None`: it costs too much.
    fn find<'t>(&self, text: &'t str, budget: &Budget) -> Option<Option<&'t str>> {
        match self {
            Self::Exact(exact) => {
                let found = text.find(&**exact).map(|at| at + exact.len());
                // Many bytes are looked at at once.
                budget.spend(found.unwrap_or(text.len()) / 2)?;
                Some(found.and_then(|end| text.get(end..)))
            }
            Self::Gapped(gapped) => gapped.find(text, budget),
        }
    }
}
