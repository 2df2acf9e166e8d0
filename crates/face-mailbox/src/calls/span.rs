//! A time that a caller names in seconds: no longer than may be, which is said where it was cut.
//!
//! Made by `messages` of `timeout` and `lockTimeout`. A longer one is no fault (reference 2.4): the
//! answer is good, and notes it.

use std::time::Duration;

use crate::error::ServiceResult;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    name: &'static str,
    pub(super) time: Duration,
    /// What was asked for, where that is longer.
    cut: Option<u32>,
}

impl Span {
    /// Of the parameter `name`; `default` where it is absent.
    pub(super) fn of(
        name: &'static str,
        asked: Option<u32>,
        default: Duration,
        max: Duration,
    ) -> Self {
        let time = asked.map_or(default, |seconds| Duration::from_secs(seconds.into()));
        Self { name, time: time.min(max), cut: asked.filter(|_| time > max) }
    }

    /// What is said of a time that was cut.
    pub(super) fn cut(&self) -> Option<String> {
        let (name, asked, time) = (self.name, self.cut?, self.time.as_secs());
        let asked = match asked {
            // Of what is longer yet, no more is known.
            u32::MAX => format!("more than {} s", u32::MAX - 1),
            asked => format!("{asked} s"),
        };
        Some(format!("the {name} of {asked} was cut to {time} s, the longest that may be"))
    }

    /// The same of all `spans` of a call, beside an answer that is good.
    pub(super) fn note(spans: impl IntoIterator<Item = Self>) -> Option<ServiceResult> {
        let cut: Vec<String> = spans.into_iter().filter_map(|span| span.cut()).collect();
        (!cut.is_empty()).then(|| ServiceResult { code: "Limited", message: cut.join("; ") })
    }
}
