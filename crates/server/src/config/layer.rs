//! Layers of values over the defaults, and the source of each value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::nearest::nearest;
use super::{ConfigError, DEFAULT_TOML};

/// The prefix of environment variables that are configuration.
const PREFIX: &str = "OUTFLOW__";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A configuration file.
    File(PathBuf),
    /// An environment variable, by name.
    Variable(String),
    /// A flag.
    Flag,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// The merged values, and the sources of those that are not defaults, by dotted key.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    values: Table,
    sources: BTreeMap<String, Source>,
}

impl Layers {
    /// The defaults alone.
    pub(crate) fn defaults() -> Result<Self, ConfigError> {
        let values = DEFAULT_TOML
            .parse()
            .map_err(|error| ConfigError(vec![format!("default.toml: {error}")]))?;
        Ok(Self { values, sources: BTreeMap::new() })
    }

    /// Lays the file `path` with content `text` over what there is.
    pub(crate) fn add_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            ConfigError(vec![format!("{}: {}", path.display(), error.to_string().trim_end())])
        })?;
        let mut wrong = Vec::new();
        let mut found = Vec::new();
        overlay(&mut self.values, table, "", &mut found, &mut wrong);
        let source = Source::File(path.to_owned());
        self.sources.extend(found.into_iter().map(|key| (key, source.clone())));
        if wrong.is_empty() {
            return Ok(());
        }
        Err(ConfigError(
            wrong.into_iter().map(|what| format!("{}: {what}", path.display())).collect(),
        ))
    }

    /// Lays an environment variable over what there is; ignores those without the prefix.
    pub(crate) fn add_variable(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let Some(key) = name.strip_prefix(PREFIX) else { return Ok(()) };
        let key = key.split("__").map(str::to_ascii_lowercase).collect::<Vec<_>>().join(".");
        self.add_text(&key, value, &Source::Variable(name.to_owned()))
    }

    /// Lays a flag over what there is.
    pub(crate) fn add_flag(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        self.add_text(key, value, &Source::Flag)
    }

    /// Sets `key` from text, which is read as the type of the default.
    fn add_text(&mut self, key: &str, text: &str, source: &Source) -> Result<(), ConfigError> {
        let value = match self.get(key) {
            Some(Value::Integer(_)) => text.parse().ok().map(Value::Integer),
            Some(Value::Boolean(_)) => text.parse().ok().map(Value::Boolean),
            _ => None,
        };
        let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
        let (mut wrong, mut found) = (Vec::new(), Vec::new());
        overlay(&mut self.values, nested(key, value), "", &mut found, &mut wrong);
        if wrong.is_empty() {
            self.sources.extend(found.into_iter().map(|key| (key, source.clone())));
            return Ok(());
        }
        Err(ConfigError(wrong.into_iter().map(|what| format!("{source}: {what}")).collect()))
    }

    fn get(&self, key: &str) -> Option<&Value> {
        let mut parts = key.split('.');
        let first = self.values.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.as_table()?.get(part))
    }

    /// Every value that cannot be read as `T` wants it, named with its key and source; each is put
    /// back to its default, so that the rest can be looked at as well.
    pub(crate) fn reset_unreadable<T: DeserializeOwned>(&mut self) -> Vec<String> {
        let probed = leaves(&self.values, "").into_iter().filter_map(|(key, value)| {
            let what = self.probe::<T>(&key, value).err()?;
            Some((key, what))
        });
        let wrong: Vec<_> = probed.collect();
        let Ok(defaults) = Self::defaults() else { return Vec::new() };
        for (key, _) in &wrong {
            if let Some(value) = defaults.get(key) {
                let one = nested(key, value.clone());
                overlay(&mut self.values, one, "", &mut Vec::new(), &mut Vec::new());
            }
        }
        wrong.into_iter().map(|(_, what)| what).collect()
    }

    /// The values as `T`.
    ///
    /// # Errors
    /// What [`Self::reset_unreadable`] would have said, without the key.
    pub(crate) fn values<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        Value::Table(self.values.clone())
            .try_into()
            .map_err(|error| ConfigError(vec![error.to_string()]))
    }

    /// Whether the defaults with this one value changed can be read.
    fn probe<T: DeserializeOwned>(&self, key: &str, value: &Value) -> Result<(), String> {
        let Some(source) = self.sources.get(key) else { return Ok(()) };
        let mut one = Self::defaults().map_err(|error| error.to_string())?.values;
        overlay(&mut one, nested(key, value.clone()), "", &mut Vec::new(), &mut Vec::new());
        let read: Result<T, _> = Value::Table(one).try_into();
        read.map(drop).map_err(|error| {
            let reason = error.to_string();
            format!("{source}: {key}: {}", reason.lines().next().unwrap_or_default())
        })
    }

    /// All values as TOML, with the source of each that is not a default.
    pub(crate) fn print(&self) -> String {
        let mut out = String::new();
        let mut section = None;
        for (key, value) in leaves(&self.values, "") {
            let (table, name) = key.rsplit_once('.').unwrap_or(("", &key));
            if section.as_deref() != Some(table) {
                out.push_str(&format!("{}[{table}]\n", if out.is_empty() { "" } else { "\n" }));
                section = Some(table.to_owned());
            }
            let source =
                self.sources.get(&key).map(|source| format!("  # {source}")).unwrap_or_default();
            out.push_str(&format!("{name} = {value}{source}\n"));
        }
        out
    }

    /// The keys whose values differ in `other`.
    pub(crate) fn changed(&self, other: &Self) -> Vec<String> {
        let differs = |(key, value): &(String, &Value)| other.get(key) != Some(value);
        leaves(&self.values, "").into_iter().filter(differs).map(|(key, _)| key).collect()
    }
}

/// `value` in the tables that the dotted `key` names.
fn nested(key: &str, value: Value) -> Table {
    let wrap =
        |table: Table, part: &str| Table::from_iter([(part.to_owned(), Value::Table(table))]);
    let (tables, name) = key.rsplit_once('.').unwrap_or(("", key));
    let inner = Table::from_iter([(name.to_owned(), value)]);
    tables.rsplit('.').filter(|part| !part.is_empty()).fold(inner, wrap)
}

/// Puts `over` onto `base`, whose keys and types are the only ones allowed.
fn overlay(
    base: &mut Table,
    over: Table,
    prefix: &str,
    found: &mut Vec<String>,
    wrong: &mut Vec<String>,
) {
    for (name, value) in over {
        let key = format!("{prefix}{name}");
        match (base.get_mut(&name), value) {
            (Some(Value::Table(base)), Value::Table(over)) => {
                overlay(base, over, &format!("{key}."), found, wrong);
            }
            (Some(old), value) if old.same_type(&value) => {
                *old = value;
                found.push(key);
            }
            (Some(old), _) => wrong.push(format!("{key}: must be {}", type_name(old))),
            (None, _) => {
                let nearest = nearest(&name, base.keys().map(String::as_str));
                let hint = nearest
                    .map(|near| format!("; did you mean `{prefix}{near}`?"))
                    .unwrap_or_default();
                wrong.push(format!("no key `{key}`{hint}"));
            }
        }
    }
}

const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date and time",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// Every value that is not a table with its dotted key; the values of a table before its tables.
fn leaves<'a>(table: &'a Table, prefix: &str) -> Vec<(String, &'a Value)> {
    let mut found = Vec::new();
    for (name, value) in table.iter().filter(|(_, value)| !value.is_table()) {
        found.push((format!("{prefix}{name}"), value));
    }
    for (name, value) in table {
        if let Value::Table(inner) = value {
            found.extend(leaves(inner, &format!("{prefix}{name}.")));
        }
    }
    found
}
