//! The grammar: recursive descent, one word ahead.
//!
//! Called by [`Selector::parse`](super::Selector::parse). From loose to tight: `OR`, `AND`, `NOT`,
//! equality, comparison, sums, products, signs. Invariant: the tree is no deeper than
//! [`MAX_DEPTH`], whether by brackets or by chains, so that walking it needs little stack.

use super::expression::{Arithmetic, Comparison, Expression};
use super::like::Pattern;
use super::token::{Lexer, Token, Word, error};
use super::{MAX_DEPTH, MAX_NAMES, MAX_NODES, SelectorError};

type Parsed<T = Piece> = Result<T, SelectorError>;

/// A part of the tree.
pub(super) struct Piece {
    pub(super) expression: Expression,
    /// Where its text begins.
    pub(super) at: usize,
    /// How deep it is, 1 for what has no parts.
    pub(super) height: usize,
}

pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    /// Where the next token begins.
    pub(super) at: usize,
    /// The next token, not yet taken.
    pub(super) token: Token<'a>,
    names: Vec<Box<str>>,
    nodes: usize,
    /// How many brackets and prefixes are open.
    depth: usize,
}

impl<'a> Parser<'a> {
    /// Begins at byte `start` of `text`.
    pub(super) fn new(text: &'a str, start: usize) -> Parsed<Self> {
        let mut lexer = Lexer::new(text, start);
        let (at, token) = lexer.next()?;
        Ok(Self { lexer, at, token, names: Vec::new(), nodes: 0, depth: 0 })
    }

    /// The whole selector with the names it refers to.
    pub(super) fn selector(mut self) -> Parsed<(Expression, Vec<Box<str>>)> {
        if self.token == Token::End {
            return Err(error(self.at, "the selector is empty"));
        }
        let whole = self.any()?;
        if self.token != Token::End {
            return Err(self.unexpected("`AND`, `OR` or the end"));
        }
        boolean(&whole)?;
        Ok((whole.expression, self.names))
    }

    /// Any expression: the loosest binding.
    pub(super) fn any(&mut self) -> Parsed {
        let first = self.conjunction()?;
        self.series(first, Word::Or, Self::conjunction, Expression::Or)
    }

    fn conjunction(&mut self) -> Parsed {
        let first = self.negation()?;
        self.series(first, Word::And, Self::negation, Expression::And)
    }

    /// `first`, or the series that it begins.
    fn series(
        &mut self,
        first: Piece,
        word: Word,
        part: impl Fn(&mut Self) -> Parsed,
        make: impl Fn(Vec<Expression>) -> Expression,
    ) -> Parsed {
        if self.token != Token::Word(word) {
            return Ok(first);
        }
        boolean(&first)?;
        let Piece { at, mut height, expression } = first;
        let mut parts = vec![expression];
        while self.take_word(word)? {
            let part = part(self)?;
            boolean(&part)?;
            height = height.max(part.height);
            parts.push(part.expression);
        }
        self.node(at, height, make(parts))
    }

    fn negation(&mut self) -> Parsed {
        if self.token == Token::Word(Word::Not) {
            self.not(Self::negation)
        } else {
            self.equality()
        }
    }

    /// `NOT` and what it denies.
    fn not(&mut self, operand: impl Fn(&mut Self) -> Parsed) -> Parsed {
        let at = self.at;
        self.advance()?;
        let inner = self.nested(at, operand)?;
        boolean(&inner)?;
        self.node(at, inner.height, Expression::Not(Box::new(inner.expression)))
    }

    fn equality(&mut self) -> Parsed {
        let mut left = self.comparison()?;
        loop {
            if self.take_word(Word::Is)? {
                let negated = self.take_word(Word::Not)?;
                if !self.take_word(Word::Null)? {
                    return Err(self.unexpected("`NULL`"));
                }
                let value = Box::new(left.expression);
                left = self.node(left.at, left.height, Expression::IsNull { value, negated })?;
                continue;
            }
            match self.comparison_sign() {
                Some(sign) if sign.is_equality() => {
                    self.advance()?;
                    let right = self.comparison()?;
                    left = self.compare(sign, left, right)?;
                }
                _ => return Ok(left),
            }
        }
    }

    fn comparison_sign(&self) -> Option<Comparison> {
        let Token::Sign(sign) = &self.token else { return None };
        Comparison::of(sign)
    }

    fn comparison(&mut self) -> Parsed {
        let mut left = self.sum()?;
        loop {
            if let Some(sign) = self.comparison_sign().filter(|sign| !sign.is_equality()) {
                self.advance()?;
                let right = self.sum()?;
                left = self.compare(sign, left, right)?;
                continue;
            }
            let negated = self.take_word(Word::Not)?;
            left = if self.take_word(Word::Like)? {
                self.like(left, negated)?
            } else if self.take_word(Word::Between)? {
                self.between(left, negated)?
            } else if self.take_word(Word::In)? {
                self.within(left, negated)?
            } else if negated {
                return Err(self.unexpected("`LIKE`, `BETWEEN` or `IN`"));
            } else {
                return Ok(left);
            };
        }
    }

    fn compare(&mut self, sign: Comparison, left: Piece, right: Piece) -> Parsed {
        for operand in [&left, &right] {
            if sign.is_equality() {
                if operand.expression == Expression::Null {
                    return Err(error(operand.at, "`NULL` equals nothing; write `IS NULL`"));
                }
            } else {
                ordered(operand)?;
            }
        }
        let literals = left.expression.is_literal() && right.expression.is_literal();
        if literals && left.expression.is_boolean() != right.expression.is_boolean() {
            return Err(error(right.at, "a truth and a value are never equal"));
        }
        let height = left.height.max(right.height);
        let operands = Box::new([left.expression, right.expression]);
        self.node(left.at, height, Expression::Compare(sign, operands))
    }

    fn like(&mut self, value: Piece, negated: bool) -> Parsed {
        let (_, text) = self.text("a text in quotes")?;
        let mut escape = None;
        if self.take_word(Word::Escape)? {
            let (at, text) = self.text("one character in quotes")?;
            let mut characters = text.chars();
            escape = characters.next();
            if escape.is_none() || characters.next().is_some() {
                return Err(error(at, "the escape must be one character"));
            }
        }
        let pattern = Pattern::new(&text, escape);
        let (at, height) = (value.at, value.height);
        let value = Box::new(value.expression);
        self.node(at, height, Expression::Like { value, pattern, negated })
    }

    fn between(&mut self, value: Piece, negated: bool) -> Parsed {
        let low = self.sum()?;
        if !self.take_word(Word::And)? {
            return Err(self.unexpected("`AND`"));
        }
        let high = self.sum()?;
        [&value, &low, &high].into_iter().try_for_each(ordered)?;
        let (at, height) = (value.at, value.height.max(low.height).max(high.height));
        let operands = Box::new([value.expression, low.expression, high.expression]);
        self.node(at, height, Expression::Between { operands, negated })
    }

    fn within(&mut self, value: Piece, negated: bool) -> Parsed {
        if !matches!(value.expression, Expression::Property(_)) {
            return Err(error(value.at, "only a property can be looked for with `IN`"));
        }
        self.expect("(")?;
        let mut texts = Vec::new();
        loop {
            let (at, text) = self.text("a text in quotes")?;
            self.count(at)?;
            texts.push(text.into());
            if !self.take_sign(",")? {
                break;
            }
        }
        self.expect(")")?;
        texts.sort_unstable();
        texts.dedup();
        let (at, height) = (value.at, value.height);
        let value = Box::new(value.expression);
        self.node(at, height, Expression::In { value, texts, negated })
    }

    fn sum(&mut self) -> Parsed {
        let first = self.product()?;
        self.chain(first, &["+", "-"], Self::product)
    }

    fn product(&mut self) -> Parsed {
        let first = self.signed()?;
        self.chain(first, &["*", "/", "%"], Self::signed)
    }

    fn chain(
        &mut self,
        mut left: Piece,
        signs: &[&str],
        part: impl Fn(&mut Self) -> Parsed,
    ) -> Parsed {
        while let Token::Sign(sign) = self.token
            && signs.contains(&sign)
            && let Some(operation) = Arithmetic::of(sign)
        {
            self.advance()?;
            let right = part(self)?;
            for operand in [&left, &right] {
                if operand.expression.is_boolean() {
                    return Err(error(operand.at, "this cannot be calculated with"));
                }
            }
            let height = left.height.max(right.height);
            let operands = Box::new([left.expression, right.expression]);
            left = self.node(left.at, height, Expression::Arithmetic(operation, operands))?;
        }
        Ok(left)
    }

    fn signed(&mut self) -> Parsed {
        let at = self.at;
        match &self.token {
            Token::Sign("+") => {
                self.advance()?;
                self.nested(at, Self::signed)
            }
            Token::Sign("-") => {
                self.advance()?;
                let inner = self.nested(at, Self::signed)?;
                if inner.expression.is_boolean() {
                    return Err(error(inner.at, "this cannot be calculated with"));
                }
                self.node(at, inner.height, Expression::Negate(Box::new(inner.expression)))
            }
            Token::Word(Word::Not) => self.not(Self::signed),
            Token::Word(Word::XPath | Word::XQuery) => {
                Err(error(at, "`XPATH` and `XQUERY` are not offered here"))
            }
            _ => self.primary(),
        }
    }

    fn primary(&mut self) -> Parsed {
        let at = self.at;
        let expression = match self.advance()? {
            Token::Sign("(") => {
                let inner = self.nested(at, Self::any)?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Name(name) if self.token == Token::Sign("(") => return self.call(at, &name),
            Token::Name(name) => Expression::Property(self.place_of(at, &name)?),
            Token::Text(text) => Expression::Text(text.into()),
            Token::Int(number) => Expression::Int(number),
            Token::Float(number) => Expression::Float(number),
            Token::Word(Word::True) => Expression::Bool(true),
            Token::Word(Word::False) => Expression::Bool(false),
            Token::Word(Word::Null) => Expression::Null,
            Token::Word(_) | Token::Sign(_) | Token::End => {
                return Err(error(at, "expected a property, a literal or `(`"));
            }
        };
        self.node(at, 0, expression)
    }

    fn place_of(&mut self, at: usize, name: &str) -> Parsed<usize> {
        if let Some(place) = self.names.iter().position(|known| **known == *name) {
            return Ok(place);
        }
        if self.names.len() == MAX_NAMES {
            return Err(error(at, &format!("at most {MAX_NAMES} properties may be named")));
        }
        self.names.push(name.into());
        Ok(self.names.len() - 1)
    }

    /// A part of the tree over parts of this height.
    pub(super) fn node(&mut self, at: usize, height: usize, expression: Expression) -> Parsed {
        self.count(at)?;
        if height >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        Ok(Piece { expression, at, height: height + 1 })
    }

    fn count(&mut self, at: usize) -> Parsed<()> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(error(at, &format!("more than {MAX_NODES} operators and operands")));
        }
        Ok(())
    }

    /// Parses one level further down.
    pub(super) fn nested(&mut self, at: usize, part: impl Fn(&mut Self) -> Parsed) -> Parsed {
        if self.depth == MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.depth += 1;
        let piece = part(self)?;
        self.depth -= 1;
        Ok(piece)
    }

    /// Takes the next token.
    pub(super) fn advance(&mut self) -> Parsed<Token<'a>> {
        let (at, token) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn take_word(&mut self, word: Word) -> Parsed<bool> {
        let is_next = self.token == Token::Word(word);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    pub(super) fn take_sign(&mut self, sign: &'static str) -> Parsed<bool> {
        let is_next = self.token == Token::Sign(sign);
        if is_next {
            self.advance()?;
        }
        Ok(is_next)
    }

    pub(super) fn expect(&mut self, sign: &'static str) -> Parsed<()> {
        if self.take_sign(sign)? { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    /// A text literal and where it begins.
    pub(super) fn text(&mut self, what: &str) -> Parsed<(usize, String)> {
        let at = self.at;
        if !matches!(self.token, Token::Text(_)) {
            return Err(self.unexpected(what));
        }
        match self.advance()? {
            Token::Text(text) => Ok((at, text.into_owned())),
            _ => Err(error(at, "expected a text in quotes")),
        }
    }

    pub(super) fn unexpected(&self, wanted: &str) -> SelectorError {
        error(self.at, &format!("expected {wanted} here"))
    }
}

fn too_deep(at: usize) -> SelectorError {
    error(at, &format!("nested more than {MAX_DEPTH} deep"))
}

/// A property may stand for a truth; other values may not.
fn boolean(piece: &Piece) -> Parsed<()> {
    if piece.expression.is_boolean() || matches!(piece.expression, Expression::Property(_)) {
        return Ok(());
    }
    Err(error(piece.at, "this is neither true nor false"))
}

/// What has an order: numbers, and what may turn out to be one.
fn ordered(piece: &Piece) -> Parsed<()> {
    if piece.expression.is_boolean() || matches!(piece.expression, Expression::Text(_)) {
        return Err(error(piece.at, "only numbers can be compared by size"));
    }
    Ok(())
}
