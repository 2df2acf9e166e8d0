//! `/v1/event-types`: the types that have a meaning to the server or to Airship clients.
//!
//! Publishers may use any other type. From reference `airship.md` 3.

use axum::Json;
use axum::extract::State;
use http::Uri;
use serde::Serialize;

use crate::access::{Admin, Caller};
use crate::error::Refused;
use crate::page::{Page, PageQuery};

/// A type of events.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = EventType))]
pub(crate) struct EventTypeView {
    /// As in `type`, upper case.
    #[serde(rename = "type")]
    name: &'static str,
    /// What happened.
    description: &'static str,
    /// The switch of the integration that must be on for it: `send_location` or `compliance`.
    switch: Option<&'static str>,
}

/// Type, description. The two with a switch are named in [`switch_of`].
const TYPES: [(&str, &str); 44] = [
    ("ATTRIBUTE_OPERATION", "Attributes of a device or user were set or removed."),
    ("CLOSE", "The application was closed."),
    ("COMPLIANCE", "A registration or opt-in that must be kept as evidence."),
    ("CONTACT_CHANGE", "A channel was associated with a contact, or no longer is."),
    ("CONTROL", "A device was held back as the control group of an experiment."),
    ("CUSTOM", "An event of the customer's own."),
    ("FEATURE_FLAG_INTERACTION", "A feature flag was evaluated for a user."),
    ("FIRST_OPEN", "The application was opened for the first time."),
    ("FIRST_OPT_IN", "A channel opted in for the first time."),
    ("IN_APP_BUTTON_TAP", "A button of an in-app message was tapped."),
    ("IN_APP_EXPERIENCES", "A scene or survey was shown, completed or left."),
    ("IN_APP_FORM_DISPLAY", "A form was shown in the application."),
    ("IN_APP_FORM_RESULT", "A form was filled in."),
    ("IN_APP_MESSAGE_CONTROL", "An in-app message was held back for a control group."),
    ("IN_APP_MESSAGE_DISPLAY", "An in-app message was shown."),
    ("IN_APP_MESSAGE_EXCLUSION", "An in-app message was not meant for this audience."),
    ("IN_APP_MESSAGE_EXPIRATION", "An in-app message was replaced or ran out."),
    ("IN_APP_MESSAGE_RESOLUTION", "An in-app message was clicked, dismissed or timed out."),
    ("IN_APP_PAGE_SWIPE", "A page of an in-app pager was swiped."),
    ("IN_APP_PAGE_VIEW", "A page of an in-app pager was seen."),
    ("IN_APP_PAGER_COMPLETED", "An in-app pager was seen to its end."),
    ("IN_APP_PAGER_SUMMARY", "What was seen of an in-app pager."),
    ("LABEL_EVENT", "A push was labelled."),
    ("LOCATION", "Where a device was."),
    ("MOBILE_ORIGINATED", "A text message came in."),
    ("OFFSET_UPDATE", "Made by the server: how far a filtered stream has been looked through."),
    ("OPEN", "The application was opened."),
    ("PUSH_BODY", "The content of a push."),
    ("REGION", "A device entered or left a region."),
    ("RICH_CONTROL", "A message of the message centre was held back for a control group."),
    ("RICH_DELETE", "A message of the message centre was deleted."),
    ("RICH_DELIVERY", "A message of the message centre was delivered."),
    ("RICH_READ", "A message of the message centre was read."),
    ("SCREEN_VIEWED", "A screen of the application was seen."),
    ("SEND", "A push was sent to a device."),
    ("SEND_ABORTED", "A push was not sent."),
    ("SEND_REJECTED", "A push was refused by the platform."),
    ("SHORT_LINK_CLICK", "A short link was followed."),
    ("SUBSCRIPTION", "An email registration changed."),
    ("SUBSCRIPTION_LIST", "A subscription list was joined or left."),
    ("TAG_CHANGE", "Tags of a device or user changed."),
    ("UNINSTALL", "The application was removed."),
    ("WEB_CLICK", "A web notification was clicked."),
    ("WEB_SESSION", "A web page was visited."),
];

fn switch_of(name: &str) -> Option<&'static str> {
    match name {
        "LOCATION" => Some("send_location"),
        "COMPLIANCE" => Some("compliance"),
        _ => None,
    }
}

/// List the event types that have a meaning to the server or to Airship clients.
#[cfg_attr(test, utoipa::path(get, path = "/v1/event-types", tag = "events", operation_id = "list_event_types", params(PageQuery),
    responses((status = 200, description = "A page of event types.", body = Page<EventTypeView>))))]
pub(crate) async fn list(
    State(_admin): State<Admin>,
    _caller: Caller,
    uri: Uri,
) -> Result<Json<Page<EventTypeView>>, Refused> {
    let page = PageQuery::of(&uri)?;
    let all = TYPES.iter().map(|&(name, description)| EventTypeView {
        name,
        description,
        switch: switch_of(name),
    });
    Ok(Json(page.cut(all.collect(), |kind| kind.name, |kind| *kind)))
}
