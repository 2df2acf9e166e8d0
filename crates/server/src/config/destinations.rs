//! Section `destinations`.

use std::time::Duration;

use outflow_hub::destination::VirtualTopics;
use outflow_hub::{DestinationDefaults, Retention};
use serde::Deserialize;

/// Section `destinations`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Destinations {
    virtual_topics: String,
    queue_days: u64,
    max_deliveries: u32,
    max_age_days: u64,
    idle_days: u64,
    abandoned_after_s: u64,
    max_per_user: usize,
}

impl Destinations {
    /// The rules that are always there, and those of the configuration. Of one that breaks a rule
    /// itself nothing is taken: [`Self::check`] refused it.
    pub(crate) fn virtual_topics(&self) -> VirtualTopics {
        let mut rules = VirtualTopics::default();
        for (prefix, topic) in self.rules().flatten() {
            let _ = rules.add(topic, prefix);
        }
        rules
    }

    /// How long queues keep what nobody consumes.
    pub(crate) const fn queue_retention(&self) -> Retention {
        Retention { age_ms: self.queue_days * 86_400_000, max_bytes: None }
    }

    /// What queues and durable subscribers are told that are made on first use.
    pub(crate) fn defaults(&self) -> DestinationDefaults {
        let days =
            |days: u64| Some(Duration::from_secs(days * 86_400)).filter(|time| !time.is_zero());
        DestinationDefaults {
            max_deliveries: Some(self.max_deliveries).filter(|max| *max > 0),
            max_age: days(self.max_age_days),
            idle_expiry: days(self.idle_days),
        }
    }

    /// After how long without a consumer a subscription with a backlog is listed as abandoned.
    pub(crate) const fn abandoned_after(&self) -> Duration {
        Duration::from_secs(self.abandoned_after_s)
    }

    /// How many destinations the holders of one set of rights may have made.
    pub(crate) const fn max_per_user(&self) -> usize {
        self.max_per_user
    }

    /// The prefix and the topic of each rule; an error where there is no such pair.
    fn rules(&self) -> impl Iterator<Item = Result<(&str, &str), &str>> {
        let rules = self.virtual_topics.split(',').map(str::trim).filter(|rule| !rule.is_empty());
        rules.map(|rule| {
            let pair = rule.split_once(' ').map(|(prefix, topic)| (prefix, topic.trim()));
            pair.ok_or(rule)
        })
    }

    /// What breaks a rule.
    pub(super) fn check(&self, refuse: &mut impl FnMut(bool, String)) {
        let mut tried = VirtualTopics::default();
        for rule in self.rules() {
            let wrong = match rule {
                Ok((prefix, topic)) => tried.add(topic, prefix).map_err(|error| error.to_string()),
                Err(rule) => Err(format!("`{rule}`: write a prefix, a space and a topic")),
            };
            if let Err(reason) = wrong {
                refuse(true, format!("destinations.virtual_topics: {reason}"));
            }
        }
        for (key, value, high) in [
            ("destinations.queue_days", self.queue_days, 36_500),
            ("destinations.abandoned_after_s", self.abandoned_after_s, 31_536_000),
            ("destinations.max_per_user", self.max_per_user as u64, 100_000),
        ] {
            refuse(!(1..=high).contains(&value), format!("{key}: must be 1 to {high}"));
        }
        for (key, value, high) in [
            ("destinations.max_deliveries", u64::from(self.max_deliveries), 10_000),
            ("destinations.max_age_days", self.max_age_days, 36_500),
            ("destinations.idle_days", self.idle_days, 36_500),
        ] {
            refuse(value > high, format!("{key}: must be 0 to {high}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> Destinations {
        Destinations {
            virtual_topics: String::new(),
            queue_days: 1,
            max_deliveries: 0,
            max_age_days: 0,
            idle_days: 0,
            abandoned_after_s: 1,
            max_per_user: 1,
        }
    }

    fn complaints(virtual_topics: &str, queue_days: u64) -> Vec<String> {
        let virtual_topics = virtual_topics.into();
        complaints_of(&Destinations { virtual_topics, queue_days, ..section() })
    }

    fn complaints_of(section: &Destinations) -> Vec<String> {
        let mut all = Vec::new();
        section.check(&mut |wrong, what| all.extend(wrong.then_some(what)));
        all
    }

    #[test]
    fn rules_are_a_prefix_and_a_topic_with_commas_between_them() {
        assert_eq!(complaints("", 1), [""; 0]);
        assert_eq!(complaints("Copy.*. feeds.>, Mirror.  news", 36_500), [""; 0]);
        for (bad, said) in [("Copy.*.", "write"), ("Copy.* feeds", "prefix"), ("a. b..c", "`b..c`")]
        {
            let all = complaints(bad, 1);
            assert!(all.len() == 1 && all[0].contains(said), "{all:?}");
        }
        assert_eq!(complaints("", 0).len(), 1);
    }

    #[test]
    fn limits_of_what_is_made_are_off_at_zero() {
        assert_eq!(section().defaults(), DestinationDefaults::default());
        let set = Destinations { max_deliveries: 5, max_age_days: 30, idle_days: 90, ..section() };
        assert_eq!(complaints_of(&set), [""; 0]);
        let day = Duration::from_secs(86_400);
        let defaults = DestinationDefaults {
            max_deliveries: Some(5),
            max_age: Some(30 * day),
            idle_expiry: Some(90 * day),
        };
        assert_eq!(set.defaults(), defaults);
        for wrong in [
            Destinations { max_deliveries: 10_001, ..section() },
            Destinations { max_age_days: 36_501, ..section() },
            Destinations { idle_days: 36_501, ..section() },
        ] {
            assert_eq!(complaints_of(&wrong).len(), 1, "{wrong:?}");
        }
    }
}
