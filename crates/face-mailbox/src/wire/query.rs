//! The parameters of a request: those that the grammar knows, by name in any case. They stand in the
//! query, or in a body that is a form or a JSON object.

use super::guid::Guid;
use super::{MAX_NAME_CHARS, WireError};

/// The names of all parameters, as the reference writes them (2.1, 2.4).
const NAMES: [&str; 9] = [
    "subscriberName",
    "subscriberId",
    "companyCode",
    "topic",
    "timeout",
    "messageId",
    "lockId",
    "lockTimeout",
    "strictOrder",
];

/// How many parameters are looked at; more are refused.
const MAX_PARAMETERS: usize = 32;

/// The one parameter of which a blank value does not count as none: a client that has lost its lock
/// must not settle what another holds.
const LOCK: &str = "lockId";

/// The parameters given. A blank value counts as none, but for [`LOCK`]; names that are not known are let pass, as
/// clients add some of their own against caches.
#[derive(Debug, Default)]
pub(super) struct Query([Option<String>; NAMES.len()]);

impl Query {
    /// Reads what stands behind the `?`. Blanks around names and values do not count: the vendor's
    /// own pages print `REGISTER? SUBSCRIBERNAME=`.
    pub(super) fn read(text: &str) -> Result<Self, WireError> {
        let mut query = Self::default();
        query.add_form(text)?;
        Ok(query)
    }

    /// Adds what a body says. What is neither a form nor a JSON object says nothing: some clients
    /// send a body with calls that have none.
    pub(super) fn add_body(&mut self, body: &[u8]) -> Result<(), WireError> {
        let body = body.trim_ascii();
        if body.first() != Some(&b'{') {
            return match std::str::from_utf8(body) {
                Ok(text) if text.contains('=') && !text.contains(['\n', '<', '"']) => {
                    self.add_form(text)
                }
                _ => Ok(()),
            };
        }
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(body).map_err(|_| WireError::Body)?;
        for (at, (name, value)) in members.iter().enumerate() {
            if at >= MAX_PARAMETERS {
                return Err(WireError::TooMany { max: MAX_PARAMETERS });
            }
            let text = match value {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Null => continue,
                other => other.to_string(),
            };
            self.put(name, &text)?;
        }
        Ok(())
    }

    /// Adds what stands in a query, or in a body that is a form.
    fn add_form(&mut self, text: &str) -> Result<(), WireError> {
        for (at, pair) in text.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if at >= MAX_PARAMETERS {
                return Err(WireError::TooMany { max: MAX_PARAMETERS });
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, true).ok_or(WireError::Encoding)?;
            let value = decode(value, true).ok_or(WireError::Encoding)?;
            self.put(&name, &value)?;
        }
        Ok(())
    }

    fn put(&mut self, name: &str, value: &str) -> Result<(), WireError> {
        let mut known = NAMES.iter().zip(&mut self.0);
        let found = known.find(|(known, _)| known.eq_ignore_ascii_case(name.trim()));
        let (Some((name, place)), value) = (found, value.trim()) else { return Ok(()) };
        if (!value.is_empty() || *name == LOCK) && place.replace(value.to_owned()).is_some() {
            return Err(WireError::Twice { name });
        }
        Ok(())
    }

    /// A parameter that may be missing.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        let (_, value) = NAMES.iter().zip(&mut self.0).find(|(known, _)| **known == name)?;
        value.take()
    }

    /// A parameter that must be there.
    pub(super) fn needed(&mut self, name: &'static str) -> Result<String, WireError> {
        self.text(name).ok_or(WireError::Missing { name })
    }

    /// A GUID that must be there.
    pub(super) fn guid(&mut self, name: &'static str) -> Result<Guid, WireError> {
        guid(name, &self.needed(name)?)
    }

    /// A GUID that may be missing.
    pub(super) fn maybe_guid(&mut self, name: &'static str) -> Result<Option<Guid>, WireError> {
        self.text(name).map(|text| guid(name, &text)).transpose()
    }

    /// A number of whole seconds that may be missing.
    pub(super) fn seconds(&mut self, name: &'static str) -> Result<Option<u32>, WireError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // Too many digits for a number are too many seconds for any use: as many as can be.
        match (digits, text.parse()) {
            (true, Ok(seconds)) => Ok(Some(seconds)),
            (true, Err(_)) => Ok(Some(u32::MAX)),
            (false, _) => Err(WireError::Bad { name, rule: "be a whole number of seconds" }),
        }
    }

    /// A switch that may be missing.
    pub(super) fn switch(&mut self, name: &'static str) -> Result<Option<bool>, WireError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if ["true", "1"].iter().any(|yes| yes.eq_ignore_ascii_case(&text)) {
            Ok(Some(true))
        } else if ["false", "0"].iter().any(|no| no.eq_ignore_ascii_case(&text)) {
            Ok(Some(false))
        } else {
            Err(WireError::Bad { name, rule: "be true or false" })
        }
    }
}

/// Reads a GUID.
pub(super) fn guid(name: &'static str, text: &str) -> Result<Guid, WireError> {
    Guid::parse(text).ok_or(WireError::Bad { name, rule: "be a GUID" })
}

/// Checks a subscriber's name.
pub(super) fn subscriber_name(text: &str) -> Result<String, WireError> {
    let name = text.trim();
    let fits = (1..=MAX_NAME_CHARS).contains(&name.chars().count());
    if fits && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    let rule = "have 1 to 200 characters, none of them a control character";
    Err(WireError::Bad { name: "subscriberName", rule })
}

/// Undoes percent-encoding, and in queries `+` for a blank. `None` when it is not encoded UTF-8.
pub(super) fn decode(text: &str, plus: bool) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' if plus => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}
