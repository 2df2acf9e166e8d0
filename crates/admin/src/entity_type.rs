//! The types of a keyed stream's entities, as the member `entities` of a stream tells them.

use std::sync::Arc;

use outflow_hub::{EntityType, EntityTypes};
use serde::{Deserialize, Serialize};

use crate::error::Refused;

/// A type of entity.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = EntityType))]
#[serde(deny_unknown_fields)]
pub(crate) struct EntityTypeView {
    /// As `ref.type` of an event says it.
    #[cfg_attr(
        test,
        schema(
            min_length = 1,
            max_length = 64,
            pattern = "^[A-Za-z0-9_.$-]+$",
            example = "Account"
        )
    )]
    name: String,
    /// The fields of `ref.ids` that tell one entity from another. The first list is the key, which
    /// every event names; further ones are alternatives that events may name for those who know the
    /// entity by them.
    #[cfg_attr(test, schema(min_items = 1, max_items = 8))]
    keys: Vec<Vec<String>>,
    /// The group it belongs to, to be extracted together.
    #[serde(default)]
    #[cfg_attr(test, schema(max_length = 64))]
    group: Option<String>,
    /// The types that its fields refer to: an extraction sends those first.
    #[serde(default)]
    depends_on: Vec<String>,
}

/// The types of a stream as they are shown.
pub(crate) fn views(types: &EntityTypes) -> Vec<EntityTypeView> {
    let view = |one: &EntityType| {
        let EntityType { name, keys, group, depends_on } = one.clone();
        EntityTypeView { name, keys, group, depends_on }
    };
    types.all().iter().map(view).collect()
}

/// The types that a request declares.
pub(crate) fn read(views: Vec<EntityTypeView>) -> Result<Arc<EntityTypes>, Refused> {
    let types = views.into_iter().map(|view| {
        let EntityTypeView { name, keys, group, depends_on } = view;
        EntityType { name, keys, group, depends_on }
    });
    let types = EntityTypes::new(types.collect());
    types
        .map(Arc::new)
        .map_err(|error| Refused::member(format!("/entities{}", error.pointer), error.reason))
}
