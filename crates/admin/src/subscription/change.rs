//! `PATCH …/subscriptions/{subscription}`: what a subscription does, changed.
//!
//! Called by the router. What is absent stays, null takes a limit away.
//!
//! Invariant: a change rests on the settings that it was made from; of two at once one is refused.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use outflow_hub::subscription::SubscriptionSettings;
use outflow_model::{Action, StreamName};
use serde::Deserialize;

use super::{SubscriptionView, found};
use crate::access::Admin;
use crate::error::Refused;
use crate::input::{self, Input};

/// The most deliveries that can be asked for.
const MAX_DELIVERIES: u32 = 10_000;
/// The shortest time after which an event is dead, in milliseconds.
const MIN_AGE_MS: u64 = 1_000;
/// The shortest time without a consumer after which a subscription is deleted, in milliseconds.
const MIN_IDLE_MS: u64 = 60_000;
/// A hundred years, in milliseconds.
const MAX_TIME_MS: u64 = 100 * 365 * 86_400_000;

/// What to change of a subscription; what is absent stays.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct SubscriptionChange {
    /// For people.
    #[cfg_attr(test, schema(max_length = 1024))]
    description: Option<String>,
    /// Whether only one consumer at a time is served.
    exclusive: Option<bool>,
    /// After how many deliveries an event that comes back is dead, which needs `dead_letter`; null:
    /// never.
    #[serde(default, deserialize_with = "input::nullable")]
    #[cfg_attr(test, schema(value_type = Option<u32>, minimum = 1, maximum = 10_000))]
    max_deliveries: Option<Option<u32>>,
    /// The stream that dead events go to, which is made when needed; null: none.
    #[serde(default, deserialize_with = "input::nullable")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    dead_letter: Option<Option<String>>,
    /// After how long an event that nobody has settled is dead, in milliseconds; null: as long as its
    /// stream keeps it.
    #[serde(default, deserialize_with = "input::nullable")]
    #[cfg_attr(test, schema(value_type = Option<u64>, minimum = 1_000, maximum = 3_153_600_000_000u64))]
    max_age_ms: Option<Option<u64>>,
    /// After how long without a consumer it is deleted, in milliseconds; null: never.
    #[serde(default, deserialize_with = "input::nullable")]
    #[cfg_attr(test, schema(value_type = Option<u64>, minimum = 60_000, maximum = 3_153_600_000_000u64))]
    idle_expiry_ms: Option<Option<u64>>,
}

impl SubscriptionChange {
    fn apply(self, settings: &mut SubscriptionSettings) -> Result<(), Refused> {
        if let Some(text) = self.description {
            settings.description = input::description(text)?;
        }
        settings.exclusive = self.exclusive.unwrap_or(settings.exclusive);
        if let Some(max) = self.max_deliveries {
            let range = 1..=MAX_DELIVERIES;
            let checked = max.map(|max| input::within("/max_deliveries", max, &range));
            settings.max_deliveries = checked.transpose()?;
        }
        if let Some(name) = self.dead_letter {
            let checked = name.map(|name| input::id("/dead_letter", &name, StreamName::new));
            settings.dead_letter = checked.transpose()?;
        }
        if settings.max_deliveries.is_some() && settings.dead_letter.is_none() {
            let reason = "it needs a `dead_letter`: without one no event is given up";
            return Err(Refused::member("/max_deliveries", reason));
        }
        if let Some(age) = self.max_age_ms {
            settings.max_age = time("/max_age_ms", age, MIN_AGE_MS)?;
        }
        if let Some(idle) = self.idle_expiry_ms {
            settings.idle_expiry = time("/idle_expiry_ms", idle, MIN_IDLE_MS)?;
        }
        Ok(())
    }
}

fn time(pointer: &str, millis: Option<u64>, least: u64) -> Result<Option<Duration>, Refused> {
    let checked = millis.map(|millis| input::within(pointer, millis, &(least..=MAX_TIME_MS)));
    Ok(checked.transpose()?.map(Duration::from_millis))
}

/// Change a subscription; what is absent stays. A webhook's has settings of its own.
#[cfg_attr(test, utoipa::path(patch, path = "/v1/projects/{project}/subscriptions/{subscription}", tag = "subscriptions", operation_id = "update_subscription",
    params(("project" = String, Path, description = "The project."), ("subscription" = String, Path, description = "The subscription.")),
    request_body = SubscriptionChange, responses((status = 200, description = "The subscription as it is now.", body = SubscriptionView))))]
pub(crate) async fn update(
    State(admin): State<Admin>,
    input: Input<SubscriptionChange>,
) -> Result<Json<SubscriptionView>, Refused> {
    let subscription = found(&admin, &input.caller, Action::Manage)?;
    let seen = subscription.settings();
    let mut settings = SubscriptionSettings::clone(&seen);
    input.body()?.apply(&mut settings)?;
    admin.hub().update_seen_subscription(&subscription, seen, settings).await?;
    tracing::info!(subscription = %subscription.name(), "subscription changed");
    let mut view = SubscriptionView::of(admin.hub(), &subscription);
    view.complete(admin.hub(), &subscription).await;
    Ok(Json(view))
}
