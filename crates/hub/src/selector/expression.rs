//! A selector as a tree, and its canonical text.
//!
//! Made by `parser`, walked by `evaluate`. Properties are places in the selector's list of names.

use std::fmt;

use super::function::escaped;
use super::like::Pattern;
use super::token::is_plain_name;

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

impl Comparison {
    /// The comparisons with their signs.
    const SIGNS: [(&'static str, Self); 6] = [
        ("=", Self::Equal),
        ("<>", Self::NotEqual),
        (">", Self::Greater),
        (">=", Self::GreaterEqual),
        ("<", Self::Less),
        ("<=", Self::LessEqual),
    ];

    /// The comparison with this sign.
    pub(super) fn of(sign: &str) -> Option<Self> {
        Self::SIGNS.iter().find(|(known, _)| *known == sign).map(|&(_, comparison)| comparison)
    }

    /// Whether it asks for equality only, and so takes texts and truths as well as numbers.
    pub(super) const fn is_equality(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual)
    }

    fn sign(self) -> &'static str {
        let known = Self::SIGNS.iter().find(|(_, comparison)| *comparison == self);
        known.map_or("=", |(sign, _)| sign)
    }
}

/// What is done with two numbers; [`Arithmetic::Plus`] also joins texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Plus,
    Minus,
    Times,
    Over,
    Modulo,
}

impl Arithmetic {
    const SIGNS: [(&'static str, Self); 5] = [
        ("+", Self::Plus),
        ("-", Self::Minus),
        ("*", Self::Times),
        ("/", Self::Over),
        ("%", Self::Modulo),
    ];

    /// The operation with this sign.
    pub(super) fn of(sign: &str) -> Option<Self> {
        Self::SIGNS.iter().find(|(known, _)| *known == sign).map(|&(_, operation)| operation)
    }

    fn sign(self) -> &'static str {
        let known = Self::SIGNS.iter().find(|(_, operation)| *operation == self);
        known.map_or("+", |(sign, _)| sign)
    }
}

/// What `INLIST` looks through.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum List {
    /// `SPLIT(text, 'separator'[, limit])`, as Java's `String.split` does it.
    Split { text: Box<Expression>, separator: Box<str>, limit: i64 },
    /// `MAKELIST(value, …)`.
    Of(Vec<Expression>),
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
    /// Its place in the list of names.
    Property(usize),
    Not(Box<Expression>),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Negate(Box<Expression>),
    Arithmetic(Arithmetic, Box<[Expression; 2]>),
    Compare(Comparison, Box<[Expression; 2]>),
    /// The value, the lowest and the highest.
    Between {
        operands: Box<[Expression; 3]>,
        negated: bool,
    },
    IsNull {
        value: Box<Expression>,
        negated: bool,
    },
    Like {
        value: Box<Expression>,
        pattern: Pattern,
        negated: bool,
    },
    /// The texts are in order.
    In {
        value: Box<Expression>,
        texts: Vec<Box<str>>,
        negated: bool,
    },
    InList {
        list: List,
        value: Box<Expression>,
    },
    Replace {
        text: Box<Expression>,
        from: Box<str>,
        to: Box<str>,
    },
}

impl Expression {
    /// Whether it is true, false or unknown rather than a value.
    pub(super) const fn is_boolean(&self) -> bool {
        match self {
            Self::Null
            | Self::Bool(_)
            | Self::Not(_)
            | Self::And(_)
            | Self::Or(_)
            | Self::Compare(..)
            | Self::Between { .. }
            | Self::IsNull { .. }
            | Self::Like { .. }
            | Self::In { .. }
            | Self::InList { .. } => true,
            Self::Int(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::Property(_)
            | Self::Negate(_)
            | Self::Arithmetic(..)
            | Self::Replace { .. } => false,
        }
    }

    /// Whether it is written out, not computed.
    pub(super) const fn is_literal(&self) -> bool {
        matches!(self, Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Text(_))
    }
}

/// An expression with the names it refers to, for printing.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) expression: &'a Expression,
    pub(super) names: &'a [Box<str>],
}

impl<'a> Shown<'a> {
    const fn of(self, expression: &'a Expression) -> Self {
        Self { expression, names: self.names }
    }

    fn joined(
        self,
        f: &mut fmt::Formatter<'_>,
        all: &'a [Expression],
        between: &str,
    ) -> fmt::Result {
        for (index, one) in all.iter().enumerate() {
            let between = if index == 0 { "" } else { between };
            write!(f, "{between}{}", self.of(one))?;
        }
        Ok(())
    }

    fn list(self, f: &mut fmt::Formatter<'_>, list: &'a List) -> fmt::Result {
        match list {
            List::Split { text, separator, limit } => {
                let separator = escaped(separator);
                write!(f, "SPLIT({}, {}, {limit})", self.of(text), Quoted(&separator, '\''))
            }
            List::Of(values) => {
                f.write_str("MAKELIST(")?;
                self.joined(f, values, ", ")?;
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        match self.expression {
            Expression::Null => f.write_str("NULL"),
            Expression::Bool(truth) => f.write_str(if *truth { "TRUE" } else { "FALSE" }),
            Expression::Int(number) => write!(f, "{number}"),
            Expression::Float(number) => write!(f, "{number:?}"),
            Expression::Text(text) => Quoted(text, '\'').fmt(f),
            Expression::Property(at) => match self.names.get(*at) {
                Some(name) if is_plain_name(name) => f.write_str(name),
                name => Quoted(name.map_or("", |name| &**name), '"').fmt(f),
            },
            Expression::Not(inner) => write!(f, "(NOT {})", self.of(inner)),
            Expression::And(all) => {
                f.write_str("(")?;
                self.joined(f, all, " AND ")?;
                f.write_str(")")
            }
            Expression::Or(all) => {
                f.write_str("(")?;
                self.joined(f, all, " OR ")?;
                f.write_str(")")
            }
            Expression::Negate(inner) => write!(f, "(-{})", self.of(inner)),
            Expression::Arithmetic(operation, operands) => {
                let [left, right] = &**operands;
                write!(f, "({} {} {})", self.of(left), operation.sign(), self.of(right))
            }
            Expression::Compare(comparison, operands) => {
                let [left, right] = &**operands;
                write!(f, "({} {} {})", self.of(left), comparison.sign(), self.of(right))
            }
            Expression::Between { operands, negated } => {
                let [value, low, high] = &**operands;
                let (value, low, high) = (self.of(value), self.of(low), self.of(high));
                write!(f, "({value} {}BETWEEN {low} AND {high})", not(negated))
            }
            Expression::IsNull { value, negated } => {
                write!(f, "({} IS {}NULL)", self.of(value), not(negated))
            }
            Expression::Like { value, pattern, negated } => {
                let text = Quoted(pattern.text(), '\'');
                write!(f, "({} {}LIKE {text}", self.of(value), not(negated))?;
                if let Some(escape) = pattern.escape() {
                    write!(f, " ESCAPE {}", Quoted(escape.encode_utf8(&mut [0; 4]), '\''))?;
                }
                f.write_str(")")
            }
            Expression::In { value, texts, negated } => {
                write!(f, "({} {}IN (", self.of(value), not(negated))?;
                for (index, text) in texts.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{}", Quoted(text, '\''))?;
                }
                f.write_str("))")
            }
            Expression::InList { list, value } => {
                f.write_str("INLIST(")?;
                self.list(f, list)?;
                write!(f, ", {})", self.of(value))
            }
            Expression::Replace { text, from, to } => {
                let (from, to) = (escaped(from), Quoted(to, '\''));
                write!(f, "REPLACE({}, {}, {to})", self.of(text), Quoted(&from, '\''))
            }
        }
    }
}

/// A text in quotes, with the quotes in it written twice.
struct Quoted<'a>(&'a str, char);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, quote) = self;
        write!(f, "{quote}")?;
        for (index, part) in text.split(*quote).enumerate() {
            if index > 0 {
                write!(f, "{quote}{quote}")?;
            }
            f.write_str(part)?;
        }
        write!(f, "{quote}")
    }
}
