//! The bodies of the event types, one file for each family (reference `airship.md` 3).
//!
//! Called by [`crate::Generator`]; each function writes the members of one `body`.

pub(crate) mod audience;
pub(crate) mod compliance;
pub(crate) mod custom;
pub(crate) mod email;
pub(crate) mod form;
pub(crate) mod in_app;
pub(crate) mod message;
pub(crate) mod pager;
pub(crate) mod session;
pub(crate) mod sms;

use outflow_model::Timestamp;

use crate::device::{Device, Platform};
use crate::json::Json;
use crate::kind::Kind;
use crate::luck::Luck;
use crate::push::Push;

/// What a body may draw on.
pub(crate) struct Scene<'a> {
    pub(crate) luck: &'a Luck,
    pub(crate) now: Timestamp,
    /// The push that is going out.
    pub(crate) push: &'a Push,
}

/// Writes the `body` member of an event of a device, if its type has one.
pub(crate) fn write_body(kind: Kind, json: &mut Json, scene: &Scene<'_>, device: &Device) {
    let write: fn(&mut Json, &Scene<'_>, &Device) = match kind {
        Kind::FirstOpen | Kind::FirstOptIn => return,
        Kind::AttributeOperation => audience::attribute_operation,
        Kind::ContactChange => audience::contact_change,
        Kind::FeatureFlagInteraction => audience::feature_flag_interaction,
        Kind::SubscriptionList => audience::subscription_list,
        Kind::TagChange => audience::tag_change,
        Kind::Compliance if device.platform == Platform::Sms => compliance::sms,
        Kind::Compliance => compliance::email,
        Kind::Custom => match device.platform {
            Platform::Email => email::custom,
            Platform::Sms => sms::custom,
            _ => custom::general,
        },
        Kind::Subscription => email::subscription,
        Kind::MobileOriginated => sms::mobile_originated,
        Kind::ShortLinkClick => sms::short_link_click,
        Kind::InAppFormDisplay => form::display,
        Kind::InAppFormResult => form::result,
        Kind::InAppButtonTap => in_app::button_tap,
        Kind::InAppExperiences => in_app::experiences,
        Kind::InAppMessageControl => in_app::message_control,
        Kind::InAppMessageDisplay => in_app::message_display,
        Kind::InAppMessageExclusion => in_app::message_exclusion,
        Kind::InAppMessageExpiration => in_app::message_expiration,
        Kind::InAppMessageResolution => in_app::message_resolution,
        Kind::InAppPageSwipe => pager::page_swipe,
        Kind::InAppPageView => pager::page_view,
        Kind::InAppPagerCompleted => pager::pager_completed,
        Kind::InAppPagerSummary => pager::pager_summary,
        Kind::Control => message::control,
        Kind::LabelEvent => message::label_event,
        Kind::PushBody => message::push_body,
        Kind::RichControl => message::rich_control,
        Kind::RichDelete | Kind::RichDelivery | Kind::RichRead => message::rich,
        Kind::Send => message::send,
        Kind::SendAborted => message::send_aborted,
        Kind::SendRejected => message::send_rejected,
        Kind::WebClick => message::web_click,
        Kind::Close => session::close,
        Kind::Location => session::location,
        Kind::Open | Kind::WebSession => session::open,
        Kind::Region => session::region,
        Kind::ScreenViewed => session::screen_viewed,
        Kind::Uninstall => session::uninstall,
    };
    json.object("body", |json| write(json, scene, device));
}

/// TP, LD and SES of the reference: what an event within a session tells of it.
fn write_session(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    if let Some(push) = device.sent.filter(|push| push.is_recent(scene.now)) {
        json.object("last_delivered", |json| push.write(json));
    }
    write_trigger(json, device);
    json.uuid("session_id", device.session);
}

/// TP of the reference: the push that the session began with.
fn write_trigger(json: &mut Json, device: &Device) {
    if let Some(push) = device.opened_by {
        json.object("triggering_push", |json| push.write(json));
    }
}
