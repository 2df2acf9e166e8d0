//! What a keyed stream declares: the types of its entities.

use std::collections::{BTreeMap, BTreeSet};

/// A type of entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityType {
    /// Its name, as `ref.type` says it: 1 to 64 letters, digits and `_ - . $`.
    pub name: String,
    /// The fields of `ref.ids` that tell one entity from another. The first is the key: every event
    /// names it, and the entity is kept by it. Further ones are alternatives by which consumers may
    /// know the entity. An event may name them as well: what any has named stays in the `ref` of the
    /// entity's loads until another value takes its place. Nothing is looked up by them, and whether
    /// they are unique is the publisher's to see to.
    pub keys: Vec<Vec<String>>,
    /// The group it belongs to, to be loaded together: a name like the type's.
    pub group: Option<String>,
    /// The types that its fields refer to: a load sends those first.
    pub depends_on: Vec<String>,
}

/// The types of a keyed stream, checked, in order of dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityTypes(Vec<EntityType>);

/// What is wrong with declared types.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct EntityTypesError {
    /// JSON pointer into the list of types as given.
    pub pointer: String,
    /// What is wrong there.
    pub reason: String,
}

impl EntityTypesError {
    fn at(pointer: String, reason: impl Into<String>) -> Self {
        Self { pointer, reason: reason.into() }
    }
}

pub(super) const MAX_TYPES: usize = 256;
const MAX_NAME_BYTES: usize = 64;
const MAX_FIELD_BYTES: usize = 128;
const MAX_KEYS: usize = 8;
const MAX_KEY_FIELDS: usize = 8;

impl EntityTypes {
    /// Checks `types` and puts them in order of dependency; equals keep the order given.
    ///
    /// # Errors
    /// [`EntityTypesError`] names the place: an empty list or one beyond 256, a bad or repeated
    /// name, a type without a key, a dependency on nothing or on itself in a circle.
    pub fn new(types: Vec<EntityType>) -> Result<Self, EntityTypesError> {
        if !(1..=MAX_TYPES).contains(&types.len()) {
            let reason = format!("between 1 and {MAX_TYPES} entity types");
            return Err(EntityTypesError::at(String::new(), reason));
        }
        let names: BTreeSet<&str> = types.iter().map(|one| one.name.as_str()).collect();
        let mut seen = BTreeSet::new();
        for (at, one) in types.iter().enumerate() {
            check(&format!("/{at}"), one, &names)?;
            if !seen.insert(&one.name) {
                let reason = format!("the type `{}` is declared twice", one.name);
                return Err(EntityTypesError::at(format!("/{at}/name"), reason));
            }
        }
        in_order(types).map(Self)
    }

    /// All of them, each after those it depends on.
    #[must_use]
    pub fn all(&self) -> &[EntityType] {
        &self.0
    }

    /// The type called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&EntityType> {
        self.0.iter().find(|one| one.name == name)
    }

    /// The types called one of `types`, those of `groups`, and all that they depend on, in order of
    /// dependency. Nothing named at all means every type.
    ///
    /// # Errors
    /// The first name that is neither a type nor a group of these.
    pub fn closure(&self, types: &[String], groups: &[String]) -> Result<Vec<&EntityType>, String> {
        if types.is_empty() && groups.is_empty() {
            return Ok(self.0.iter().collect());
        }
        let mut wanted: BTreeSet<&str> = BTreeSet::new();
        for name in types {
            wanted.insert(&self.get(name).ok_or_else(|| name.clone())?.name);
        }
        for group in groups {
            let mut members = self.0.iter().filter(|one| one.group.as_ref() == Some(group));
            wanted.insert(&members.next().ok_or_else(|| group.clone())?.name);
            wanted.extend(members.map(|one| one.name.as_str()));
        }
        // Each type stands after those it depends on: one pass backwards finds all.
        for one in self.0.iter().rev() {
            if wanted.contains(one.name.as_str()) {
                wanted.extend(one.depends_on.iter().map(String::as_str));
            }
        }
        Ok(self.0.iter().filter(|one| wanted.contains(one.name.as_str())).collect())
    }

    /// Why these cannot take the place of `old`, whose entities are stored: a type is missing or has
    /// another key.
    pub(crate) fn conflict_with(&self, old: &Self) -> Option<String> {
        old.0.iter().find_map(|one| match self.get(&one.name) {
            None => Some(format!("the entity type `{}` cannot be taken away", one.name)),
            Some(new) if new.keys.first() != one.keys.first() => {
                Some(format!("the key of the entity type `{}` cannot be changed", one.name))
            }
            Some(_) => None,
        })
    }
}

fn check(at: &str, one: &EntityType, names: &BTreeSet<&str>) -> Result<(), EntityTypesError> {
    check_name(format!("{at}/name"), &one.name)?;
    if let Some(group) = &one.group {
        check_name(format!("{at}/group"), group)?;
    }
    if !(1..=MAX_KEYS).contains(&one.keys.len()) {
        let reason = format!("between 1 and {MAX_KEYS} keys");
        return Err(EntityTypesError::at(format!("{at}/keys"), reason));
    }
    for (n, key) in one.keys.iter().enumerate() {
        let distinct: BTreeSet<&String> = key.iter().collect();
        let is_field = |field: &String| {
            (1..=MAX_FIELD_BYTES).contains(&field.len()) && !field.chars().any(char::is_control)
        };
        let is_right = (1..=MAX_KEY_FIELDS).contains(&key.len()) && key.iter().all(is_field);
        if !is_right || distinct.len() != key.len() {
            let reason = format!("a key is 1 to {MAX_KEY_FIELDS} different names of fields");
            return Err(EntityTypesError::at(format!("{at}/keys/{n}"), reason));
        }
    }
    for (n, other) in one.depends_on.iter().enumerate() {
        if !names.contains(other.as_str()) || *other == one.name {
            let reason = format!("`{other}` is not another entity type of the stream");
            return Err(EntityTypesError::at(format!("{at}/depends_on/{n}"), reason));
        }
    }
    Ok(())
}

fn check_name(pointer: String, name: &str) -> Result<(), EntityTypesError> {
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$');
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(());
    }
    let reason = format!("must be 1 to {MAX_NAME_BYTES} letters, digits, `_`, `-`, `.` or `$`");
    Err(EntityTypesError::at(pointer, reason))
}

/// Puts each type after those it depends on.
fn in_order(types: Vec<EntityType>) -> Result<Vec<EntityType>, EntityTypesError> {
    let mut placed = BTreeSet::new();
    let mut ordered = Vec::with_capacity(types.len());
    let mut rest: BTreeMap<usize, EntityType> = types.into_iter().enumerate().collect();
    while !rest.is_empty() {
        let free = rest
            .iter()
            .find(|(_, one)| one.depends_on.iter().all(|other| placed.contains(other)))
            .map(|(at, _)| *at);
        let Some(one) = free.and_then(|at| rest.remove(&at)) else {
            let at = rest.keys().next().copied().unwrap_or_default();
            let reason = "the types depend on each other in a circle";
            return Err(EntityTypesError::at(format!("/{at}/depends_on"), reason));
        };
        placed.insert(one.name.clone());
        ordered.push(one);
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, group: Option<&str>, depends_on: &[&str]) -> EntityType {
        EntityType {
            name: name.into(),
            keys: vec![vec!["no".into()]],
            group: group.map(Into::into),
            depends_on: depends_on.iter().map(|&other| other.into()).collect(),
        }
    }

    fn names(types: &[&EntityType]) -> Vec<String> {
        types.iter().map(|one| one.name.clone()).collect()
    }

    #[test]
    fn what_a_type_needs_comes_before_it() {
        let types = EntityTypes::new(vec![
            one("Line", Some("Financial"), &["Invoice"]),
            one("Invoice", Some("Financial"), &["Account"]),
            one("Plan", None, &[]),
            one("Account", None, &[]),
        ])
        .unwrap();
        let closure = |types_: &[&str], groups: &[&str]| {
            let owned =
                |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
            types.closure(&owned(types_), &owned(groups)).map(|found| names(&found))
        };
        assert_eq!(closure(&[], &[]).unwrap(), ["Plan", "Account", "Invoice", "Line"]);
        assert_eq!(closure(&["Line"], &[]).unwrap(), ["Account", "Invoice", "Line"]);
        assert_eq!(closure(&["Plan"], &["Financial"]).unwrap().len(), 4);
        assert_eq!(closure(&["Account"], &[]).unwrap(), ["Account"]);
        assert_eq!(closure(&["Order"], &[]), Err("Order".into()));
        assert_eq!(closure(&[], &["None"]), Err("None".into()));
    }

    #[test]
    fn faults_are_named() {
        let fault = |types| EntityTypes::new(types).unwrap_err().pointer;
        assert_eq!(fault(vec![]), "");
        assert_eq!(fault(vec![one("A b", None, &[])]), "/0/name");
        assert_eq!(fault(vec![one("A", None, &[]), one("A", None, &[])]), "/1/name");
        assert_eq!(fault(vec![one("A", Some(""), &[])]), "/0/group");
        assert_eq!(fault(vec![one("A", None, &["B"])]), "/0/depends_on/0");
        assert_eq!(fault(vec![one("A", None, &["A"])]), "/0/depends_on/0");
        assert_eq!(fault(vec![one("A", None, &["B"]), one("B", None, &["A"])]), "/0/depends_on");
        assert_eq!(fault(vec![EntityType { keys: vec![], ..one("A", None, &[]) }]), "/0/keys");
        let twice = vec![vec!["x".to_owned(), "x".to_owned()]];
        assert_eq!(fault(vec![EntityType { keys: twice, ..one("A", None, &[]) }]), "/0/keys/0");
    }
}
