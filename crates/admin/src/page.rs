//! Lists, a page at a time.
//!
//! Lists are in order of their ids and continue after one, so that a page stays right while
//! others add and remove.

use serde::{Deserialize, Serialize};

use crate::error::Refused;
use crate::input;

/// The entries of a page, unless it says otherwise.
const DEFAULT_LIMIT: usize = 100;
/// The most entries of a page.
const MAX_LIMIT: usize = 1000;

/// Which page.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// How many entries at most.
    #[cfg_attr(test, param(minimum = 1, maximum = 1000, default = 100))]
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Page<T> {
    /// The entries, in order.
    items: Vec<T>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

impl<T> Page<T> {
    /// A page of entries that are in order and begin where it does; one above `limit` says that
    /// there is a next.
    pub(crate) fn of_ordered(mut items: Vec<T>, limit: usize, id: impl Fn(&T) -> &str) -> Self {
        let has_next = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_next).map(|last| id(last).to_owned());
        Self { items, next }
    }

    /// A page whose list says itself where it goes on.
    pub(crate) const fn going_on(items: Vec<T>, next: Option<String>) -> Self {
        Self { items, next }
    }

    /// The entries, to be completed.
    pub(crate) fn items_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

impl PageQuery {
    /// Reads it from a request's address.
    pub(crate) fn of(uri: &http::Uri) -> Result<Self, Refused> {
        let Self { limit, after } = input::query(uri)?;
        Self::new(limit, after)
    }

    /// That of a query with more in it.
    pub(crate) fn new(limit: Option<usize>, after: Option<String>) -> Result<Self, Refused> {
        input::within("", limit.unwrap_or(DEFAULT_LIMIT), &(1..=MAX_LIMIT))
            .map_err(|_| Refused::member("", format!("`limit` must be from 1 to {MAX_LIMIT}")))?;
        Ok(Self { limit, after })
    }

    /// How many entries at most, and after which id.
    pub(crate) fn limit_and_after(&self) -> (usize, Option<&str>) {
        (self.limit.unwrap_or(DEFAULT_LIMIT), self.after.as_deref())
    }

    /// The page of `all`, which need not be in order, by `id`.
    pub(crate) fn cut<S, T>(
        &self,
        mut all: Vec<S>,
        id: impl Fn(&S) -> &str,
        show: impl Fn(&S) -> T,
    ) -> Page<T> {
        all.sort_unstable_by(|a, b| id(a).cmp(id(b)));
        let after = self.after.as_deref();
        let start = after.map_or(0, |after| all.partition_point(|entry| id(entry) <= after));
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        let rest = all.get(start..).unwrap_or_default();
        let page = rest.get(..limit).unwrap_or(rest);
        let next = (page.len() < rest.len()).then(|| page.last().map(|last| id(last).to_owned()));
        Page { items: page.iter().map(show).collect(), next: next.flatten() }
    }
}
