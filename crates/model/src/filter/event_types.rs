//! The event types of Airship's stream (reference `airship.md` section 3).
//!
//! Called by the filter compiler; the admin face lists them.

/// All event types that a filter on an Airship stream may name, sorted. `OFFSET_UPDATE` is not
/// among them: it is made for each connection and passes every filter.
#[rustfmt::skip] // A list to look names up in, not to read down.
pub const EVENT_TYPES: [&str; 43] = [
    "ATTRIBUTE_OPERATION", "CLOSE", "COMPLIANCE", "CONTACT_CHANGE", "CONTROL", "CUSTOM",
    "FEATURE_FLAG_INTERACTION", "FIRST_OPEN", "FIRST_OPT_IN", "IN_APP_BUTTON_TAP",
    "IN_APP_EXPERIENCES", "IN_APP_FORM_DISPLAY", "IN_APP_FORM_RESULT", "IN_APP_MESSAGE_CONTROL",
    "IN_APP_MESSAGE_DISPLAY", "IN_APP_MESSAGE_EXCLUSION", "IN_APP_MESSAGE_EXPIRATION",
    "IN_APP_MESSAGE_RESOLUTION", "IN_APP_PAGER_COMPLETED", "IN_APP_PAGER_SUMMARY",
    "IN_APP_PAGE_SWIPE", "IN_APP_PAGE_VIEW", "LABEL_EVENT", "LOCATION", "MOBILE_ORIGINATED", "OPEN",
    "PUSH_BODY", "REGION", "RICH_CONTROL", "RICH_DELETE", "RICH_DELIVERY", "RICH_READ",
    "SCREEN_VIEWED", "SEND", "SEND_ABORTED", "SEND_REJECTED", "SHORT_LINK_CLICK", "SUBSCRIPTION",
    "SUBSCRIPTION_LIST", "TAG_CHANGE", "UNINSTALL", "WEB_CLICK", "WEB_SESSION",
];
