//! Which events a subscription or consumer wants, by their properties.

/// A compiled selector. Equal when written alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(std::sync::Arc<str>);

/// What a selector is evaluated over.
pub trait Properties {
    /// The property called `name`.
    fn get(&self, name: &str) -> Option<std::borrow::Cow<'_, str>>;
}

impl Selector {
    /// The text it was made from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether it accepts the event.
    #[must_use]
    pub fn matches(&self, properties: &dyn Properties) -> bool {
        properties.get(&self.0).is_some()
    }
}
