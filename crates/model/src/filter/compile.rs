//! From the JSON of a filter to its clauses; every rule that answers 400 is here or in
//! `predicate`.
//!
//! Called by [`super::Filter`].

use super::clause::{Clause, Lookup, TypeName, Wanted, bit};
use super::{EVENT_TYPES, FilterError, MAX_ITEMS, MAX_MATCHERS, Place};
use crate::DeviceType;
use crate::id::EventType;
use crate::json::Value;

/// Which event types and attributes may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Airship,
    AnyTypes,
    Compliance,
}

/// A name under which identifiers are looked for: as the filter spells it, as the event does, and
/// the device type it implies.
type Spelling = (&'static str, &'static str, Option<DeviceType>);

const DEVICES: [Spelling; 5] = [
    ("channel", "channel", None),
    ("named_user_id", "named_user_id", None),
    ("ios_channel", "channel", Some(DeviceType::Ios)),
    ("android_channel", "channel", Some(DeviceType::Android)),
    ("amazon_channel", "channel", Some(DeviceType::Amazon)),
];
const USERS: [Spelling; 2] =
    [("contact_id", "contact_id", None), ("named_user_id", "named_user_id", None)];
const NOTIFICATIONS: [Spelling; 2] = [("push_id", "push_id", None), ("group_id", "group_id", None)];

/// Counts what the filter holds while it is compiled.
#[derive(Debug)]
pub(super) struct Compiler {
    dialect: Dialect,
    items: usize,
    matchers: usize,
}

impl Compiler {
    pub(super) const fn new(dialect: Dialect) -> Self {
        Self { dialect, items: 0, matchers: 0 }
    }

    /// How many entries and matchers there were, and one for the filter itself.
    pub(super) const fn questions(&self) -> usize {
        1 + self.items + self.matchers
    }

    /// The clauses of a whole `filters` member.
    pub(super) fn clauses(
        &mut self,
        value: Value<'_>,
        place: &Place<'_>,
    ) -> Result<Vec<Clause>, FilterError> {
        self.one_or_more(value, place, Self::clause)
    }

    fn clause(&mut self, value: Value<'_>, place: &Place<'_>) -> Result<Clause, FilterError> {
        let mut clause = Clause::default();
        let [latency, device_types, others @ ..] = if self.dialect == Dialect::Compliance {
            let [latency, device_types] = place.members(value, ["latency", "device_types"])?;
            [latency, device_types, None, None, None, None, None]
        } else {
            place.members(
                value,
                [
                    "latency",
                    "device_types",
                    "types",
                    "devices",
                    "users",
                    "notifications",
                    "predicates",
                ],
            )?
        };
        let [types, devices, users, notifications, predicates] = others;
        if let Some(value) = types {
            let place = Place::Member(place, "types");
            clause.types = Some(self.entries(value, &place, Self::event_type)?);
        }
        if let Some(value) = device_types {
            let place = Place::Member(place, "device_types");
            let wanted = self.entries(value, &place, Self::device_type)?;
            clause.device_types = Some(wanted.into_iter().fold(0, |all, device| all | bit(device)));
        }
        if let Some(value) = latency {
            clause.latency = Some(latency_ms(value, &Place::Member(place, "latency"))?);
        }
        for (name, object, spellings, value) in [
            ("devices", "device", &DEVICES[..], devices),
            ("users", "user", &USERS[..], users),
            ("notifications", "body", &NOTIFICATIONS[..], notifications),
        ] {
            if let Some(value) = value {
                let wanted = self.wanted(value, &Place::Member(place, name), spellings)?;
                clause.lookups.push(Lookup { object, wanted });
            }
        }
        if let Some(value) = predicates {
            let place = Place::Member(place, "predicates");
            clause.predicates = self.one_or_more(value, &place, Self::predicate)?;
        }
        Ok(clause)
    }

    /// The entries of an array that must not be empty.
    pub(super) fn entries<'v, T>(
        &mut self,
        value: Value<'v>,
        place: &Place<'_>,
        mut entry: impl FnMut(&mut Self, Value<'v>, &Place<'_>) -> Result<T, FilterError>,
    ) -> Result<Vec<T>, FilterError> {
        if value.text().first() != Some(&b'[') {
            return Err(place.error("must be an array"));
        }
        let mut out = Vec::new();
        for (index, value) in value.elements().enumerate() {
            let place = Place::Entry(place, index);
            self.items += 1;
            if self.items > MAX_ITEMS {
                return Err(place.error(format!("the filter has more than {MAX_ITEMS} entries")));
            }
            out.push(entry(self, value, &place)?);
        }
        if out.is_empty() { Err(place.error("must not be an empty array")) } else { Ok(out) }
    }

    /// The entries of an array, or the one object that stands in its place.
    fn one_or_more<'v, T>(
        &mut self,
        value: Value<'v>,
        place: &Place<'_>,
        mut entry: impl FnMut(&mut Self, Value<'v>, &Place<'_>) -> Result<T, FilterError>,
    ) -> Result<Vec<T>, FilterError> {
        match value.text().first() {
            Some(b'{') => Ok(vec![entry(self, value, place)?]),
            Some(b'[') => self.entries(value, place, entry),
            _ => Err(place.error("must be an array or an object")),
        }
    }

    pub(super) fn count_matcher(&mut self, place: &Place<'_>) -> Result<(), FilterError> {
        self.matchers += 1;
        if self.matchers > MAX_MATCHERS {
            return Err(place.error(format!("the filter has more than {MAX_MATCHERS} matchers")));
        }
        Ok(())
    }

    fn event_type(&mut self, value: Value<'_>, place: &Place<'_>) -> Result<TypeName, FilterError> {
        let name = text(value, place)?;
        let known = match self.dialect {
            Dialect::AnyTypes => EventType::check(name.as_bytes()).is_ok(),
            Dialect::Airship | Dialect::Compliance => {
                EVENT_TYPES.iter().any(|known| known.eq_ignore_ascii_case(&name))
            }
        };
        if known {
            Ok(TypeName::new(&name))
        } else {
            Err(place.error(format!("unknown event type `{}`", excerpt(&name))))
        }
    }

    fn device_type(
        &mut self,
        value: Value<'_>,
        place: &Place<'_>,
    ) -> Result<DeviceType, FilterError> {
        let name = text(value, place)?;
        let device = DeviceType::parse(name.as_bytes());
        let allowed = match self.dialect {
            Dialect::Compliance => matches!(device, DeviceType::Email | DeviceType::Sms),
            Dialect::Airship | Dialect::AnyTypes => device != DeviceType::Other,
        };
        if allowed {
            Ok(device)
        } else {
            Err(place.error(format!("unknown device type `{}`", excerpt(&name))))
        }
    }

    /// Objects of one identifier each, grouped by the name it is looked for under.
    fn wanted(
        &mut self,
        value: Value<'_>,
        place: &Place<'_>,
        spellings: &'static [Spelling],
    ) -> Result<Vec<Wanted>, FilterError> {
        let identifier =
            |_: &mut Self, value, place: &Place<'_>| identifier(value, place, spellings);
        // Only `notifications` may be a bare object; for the others the reference shows arrays.
        let found = if spellings == NOTIFICATIONS {
            self.one_or_more(value, place, identifier)?
        } else {
            self.entries(value, place, identifier)?
        };
        let group = |&(spelling, member, device): &Spelling| {
            let ids = found.iter().filter(|(found, _)| *found == spelling);
            let mut ids: Vec<Box<str>> = ids.map(|(_, id)| id.clone()).collect();
            ids.sort_unstable();
            Wanted { member, device, ids }
        };
        Ok(spellings.iter().map(group).filter(|wanted| !wanted.ids.is_empty()).collect())
    }
}

/// One identifier: the spelling it came under, and the id.
fn identifier(
    value: Value<'_>,
    place: &Place<'_>,
    spellings: &'static [Spelling],
) -> Result<(&'static str, Box<str>), FilterError> {
    let mut members = value.members();
    let (Some((name, id)), None) = (members.next(), members.next()) else {
        return Err(place.error("must be an object with one attribute"));
    };
    let known = spellings.iter().find(|spelling| name.is(spelling.0.as_bytes()));
    let (spelling, ..) = known
        .ok_or_else(|| place.error(format!("unknown attribute `{}`", excerpt(&name.to_text()))))?;
    Ok((spelling, text(id, &Place::Member(place, spelling))?.into()))
}

fn latency_ms(value: Value<'_>, place: &Place<'_>) -> Result<i64, FilterError> {
    let millis = value.as_number().and_then(|number| number.as_u64());
    let millis = millis.ok_or_else(|| place.error("must be a whole number of milliseconds"))?;
    Ok(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// The text of the string that `value` must be.
pub(super) fn text(value: Value<'_>, place: &Place<'_>) -> Result<String, FilterError> {
    let raw = value.as_string().ok_or_else(|| place.error("must be a string"))?;
    Ok(raw.to_text().into_owned())
}

/// Enough of what the caller wrote to recognise it in an answer.
fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}
