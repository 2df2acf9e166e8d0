//! Where in a request a fault stands: a JSON pointer (RFC 6901), written only when there is one.
//!
//! Called by the compilers of filters and subsets.

use super::FilterError;
use crate::json::{JsonError, Value};

/// A path from the request's root, as a chain on the stack.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// A pointer to start from.
    Root(&'static str),
    /// An entry of an array.
    Entry(&'a Place<'a>, usize),
    /// A member of an object.
    Member(&'a Place<'a>, &'a str),
}

impl Place<'_> {
    pub(crate) fn error(&self, reason: impl Into<String>) -> FilterError {
        let mut pointer = String::new();
        self.write(&mut pointer);
        FilterError { pointer, reason: reason.into() }
    }

    pub(crate) fn json_error(&self, error: &JsonError) -> FilterError {
        self.error(format!("{} (byte {})", error.fault, error.at))
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Root(pointer) => out.push_str(pointer),
            Self::Entry(parent, index) => {
                parent.write(out);
                out.push('/');
                out.push_str(&index.to_string());
            }
            Self::Member(parent, name) => {
                parent.write(out);
                out.push('/');
                out.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
        }
    }

    /// The members called `names` of the object that `value` must be, in that order.
    ///
    /// # Errors
    /// Not an object, a member that is none of `names`, or one that comes twice.
    pub(crate) fn members<'v, const N: usize>(
        &self,
        value: Value<'v>,
        names: [&str; N],
    ) -> Result<[Option<Value<'v>>; N], FilterError> {
        if value.text().first() != Some(&b'{') {
            return Err(self.error("must be an object"));
        }
        let mut found = [None; N];
        for (name, value) in value.members() {
            let slot = names.iter().zip(&mut found).find(|(known, _)| name.is(known.as_bytes()));
            match slot {
                Some((_, slot @ None)) => *slot = Some(value),
                Some((known, Some(_))) => {
                    return Err(self.error(format!("attribute `{known}` comes twice")));
                }
                None => {
                    return Err(self.error(format!("unknown attribute `{}`", name.to_text())));
                }
            }
        }
        Ok(found)
    }
}
