//! A piece of a `LIKE` pattern that has places for any one character.
//!
//! Made and asked by `like`. All beginnings are followed at once, one bit for each place, so that no
//! text and no pattern makes a character cost more than a word for each 64 places.
//!
//! Invariant: what is kept is of the size of the pattern, whatever its characters.

use super::like::Budget;

/// What a character costs beside the words, in steps: it is looked up.
const LOOK_UP: usize = 4;
/// A state of so many words needs no memory of its own.
const FEW: usize = 8;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gapped {
    places: Vec<Option<char>>,
    /// The places where any character may stand.
    any: Box<[u64]>,
    /// The characters that are named, in order, and the places of each.
    named: Box<[(char, Places)]>,
}

/// Words that are not 0, in order, and where they are.
type Places = Vec<(u32, u64)>;

/// The word of a place, and its bit there.
const fn bit(place: usize) -> (usize, u64) {
    (place / 64, 1 << (place % 64))
}

impl Gapped {
    pub(super) fn new(places: &[Option<char>]) -> Self {
        let mut any = vec![0; places.len().div_ceil(64)];
        let mut spots = Vec::new();
        for (at, place) in places.iter().enumerate() {
            let (word, bit) = bit(at);
            match place {
                Some(character) => spots.push((*character, word as u32, bit)),
                None => any.iter_mut().skip(word).take(1).for_each(|any| *any |= bit),
            }
        }
        spots.sort_unstable();
        let mut named: Vec<(char, Places)> = Vec::new();
        for (character, word, bit) in spots {
            match named.last_mut() {
                Some((last, places)) if *last == character => match places.last_mut() {
                    Some((at, bits)) if *at == word => *bits |= bit,
                    _ => places.push((word, bit)),
                },
                _ => named.push((character, vec![(word, bit)])),
            }
        }
        Self { places: places.to_vec(), any: any.into(), named: named.into() }
    }

    pub(super) fn places(&self) -> &[Option<char>] {
        &self.places
    }

    /// What follows its first occurrence; the outer `None`: it costs too much.
    pub(super) fn find<'t>(&self, text: &'t str, budget: &Budget) -> Option<Option<&'t str>> {
        let (mut few, mut many) = ([0; FEW], Vec::new());
        let state = match few.get_mut(..self.any.len()) {
            Some(state) => state,
            // More than 512 places: once for a look, beside which it is nothing.
            None => {
                many.resize(self.any.len(), 0);
                &mut many[..]
            }
        };
        let (_, last) = bit(self.places.len().saturating_sub(1));
        for (at, character) in text.char_indices() {
            budget.spend(LOOK_UP + state.len())?;
            self.step(character, state);
            if state.last().is_some_and(|word| word & last != 0) {
                return Some(text.get(at + character.len_utf8()..));
            }
        }
        Some(None)
    }

    /// Goes on by one character: a bit is set where all places up to it fit the last characters.
    fn step(&self, character: char, state: &mut [u64]) {
        let known = self.named.binary_search_by_key(&character, |(one, _)| *one).ok();
        let places = known.and_then(|at| self.named.get(at)).map(|(_, places)| places);
        let mut places = places.into_iter().flatten().peekable();
        let mut carry = 1;
        for (at, (word, any)) in state.iter_mut().zip(&self.any).enumerate() {
            let fits = places.next_if(|(place, _)| *place as usize == at);
            let fits = any | fits.map_or(0, |(_, bits)| *bits);
            let next = (*word << 1 | carry) & fits;
            carry = *word >> 63;
            *word = next;
        }
    }
}
