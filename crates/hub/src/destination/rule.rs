//! Virtual topics: queues that are fed from a topic, by the form of their names.
//!
//! A rule has a topic's pattern and a prefix: `VirtualTopic.>` with `Consumer.*.` makes the queue
//! `Consumer.A.VirtualTopic.Orders` receive what the topic `VirtualTopic.Orders` gets, from the
//! queue's making on (reference `activemq.md` a2). Called by `send` and `consume`.

use outflow_model::DestinationPattern;
use outflow_model::destination::{PatternError, covers};

/// The rules that are always there: the brokers' own, and the feed's destination ids
/// (reference `activemq.md` a1).
const BUILT_IN: [(&str, &str); 3] =
    [("VirtualTopic.>", "Consumer.*."), ("RTO.>", "*."), ("RTO.>", "Consumer.*.")];

/// Why a rule was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The topic's pattern is none.
    #[error("`{0}`: {1}")]
    Topic(String, PatternError),
    /// The prefix is none.
    #[error("`{0}`: a prefix is one element or more, each followed by `.`, and none is `>`")]
    Prefix(String),
}

/// The rules of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualTopics {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    topic: String,
    prefix: String,
}

impl Default for VirtualTopics {
    fn default() -> Self {
        let rule =
            |(topic, prefix): (&str, &str)| Rule { topic: topic.into(), prefix: prefix.into() };
        Self { rules: BUILT_IN.into_iter().map(rule).collect() }
    }
}

impl VirtualTopics {
    /// Adds a rule: the topics it is for and what their queues' names begin with. The rules that
    /// came first decide first.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn add(&mut self, topic: &str, prefix: &str) -> Result<(), RuleError> {
        DestinationPattern::parse(topic).map_err(|why| RuleError::Topic(topic.into(), why))?;
        let elements = prefix.strip_suffix('.').map(|prefix| prefix.split('.'));
        let is_prefix =
            elements.is_some_and(|mut all| all.all(|element| !matches!(element, "" | ">")));
        if !is_prefix {
            return Err(RuleError::Prefix(prefix.into()));
        }
        self.rules.push(Rule { topic: topic.into(), prefix: prefix.into() });
        Ok(())
    }

    /// The topic that feeds `queue`, a name or a path with wildcards in the topic's part; `None`:
    /// the queue is an ordinary one.
    pub(crate) fn topic<'q>(&self, queue: &'q str) -> Option<&'q str> {
        self.rules.iter().find_map(|rule| rule.topic(queue))
    }
}

impl Rule {
    fn topic<'q>(&self, queue: &'q str) -> Option<&'q str> {
        let mut rest = queue;
        for wanted in self.prefix.strip_suffix('.')?.split('.') {
            let (element, after) = rest.split_once('.')?;
            let fits = match wanted {
                "*" => !matches!(element, "" | "*" | ">"),
                exact => exact == element,
            };
            rest = Some(after).filter(|_| fits)?;
        }
        covers(&self.topic, rest).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_fed_by_the_form_of_their_names() {
        let rules = VirtualTopics::default();
        for (queue, topic) in [
            ("destination1.RTO.yourcompany", Some("RTO.yourcompany")),
            ("Consumer.destination1.RTO.yourcompany", Some("RTO.yourcompany")),
            ("destination1.RTO.yourcompany.more", Some("RTO.yourcompany.more")),
            ("destination1.RTO", Some("RTO")),
            ("Consumer.A.VirtualTopic.Orders", Some("VirtualTopic.Orders")),
            ("Consumer.A.VirtualTopic", Some("VirtualTopic")),
            ("Consumer.A.VirtualTopic.>", Some("VirtualTopic.>")),
            ("RTO.yourcompany", None),
            ("a.b.RTO.yourcompany", None),
            (".RTO.yourcompany", None),
            ("*.RTO.yourcompany", None),
            ("Consumer.A.B.VirtualTopic.Orders", None),
            ("Consumer.A.virtualtopic.Orders", None),
            ("VirtualTopic.Orders", None),
            ("orders", None),
        ] {
            assert_eq!(rules.topic(queue), topic, "{queue}");
        }
    }

    #[test]
    fn more_rules_can_be_added() {
        let mut rules = VirtualTopics::default();
        rules.add("feeds.>", "Copy.*.of.").unwrap();
        assert_eq!(rules.topic("Copy.1.of.feeds.a"), Some("feeds.a"));
        assert_eq!(rules.topic("Copy.1.for.feeds.a"), None);
        for prefix in ["", ".", "a", "a..", ">."] {
            assert!(matches!(rules.add("a", prefix), Err(RuleError::Prefix(_))), "{prefix}");
        }
        assert!(matches!(rules.add("a..b", "c."), Err(RuleError::Topic(..))));
    }
}
