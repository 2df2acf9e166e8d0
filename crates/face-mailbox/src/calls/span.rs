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
        Some(format!("the {name} of {asked} s was cut to {time} s, the longest that may be"))
    }

    /// The same, beside an answer that is good.
    pub(super) fn note(&self) -> Option<ServiceResult> {
        self.cut().map(|message| ServiceResult { code: "Limited", message })
    }
}
