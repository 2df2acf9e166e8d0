//! Section `destinations`.

use outflow_hub::Retention;
use outflow_hub::destination::VirtualTopics;
use serde::Deserialize;

/// Section `destinations`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Destinations {
    virtual_topics: String,
    queue_days: u64,
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
            ("destinations.max_per_user", self.max_per_user as u64, 100_000),
        ] {
            refuse(!(1..=high).contains(&value), format!("{key}: must be 1 to {high}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(virtual_topics: &str, queue_days: u64) -> Vec<String> {
        let section =
            Destinations { virtual_topics: virtual_topics.into(), queue_days, max_per_user: 1 };
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
}
