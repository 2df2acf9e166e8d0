//! In-app messages: shown, tapped, withheld, gone.

use super::{Scene, write_trigger};
use crate::device::Device;
use crate::json::Json;
use crate::push::Push;

/// INAPP of the reference but for `time_sent`. A message with an id of the app's own has no push.
fn write_source_untimed(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    if scene.luck.chance(15) {
        json.text("app_defined_id", "welcome-scene-v2");
    } else {
        scene.push.write_ids(json);
    }
    json.uuid("session_id", device.session);
    write_trigger(json, device);
}

/// INAPP of the reference.
pub(super) fn write_source(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_source_untimed(json, scene, device);
    json.time("time_sent", scene.push.time);
}

/// `context`: in_app_context of the reference.
pub(super) fn write_context(json: &mut Json, scene: &Scene<'_>) {
    let luck = scene.luck;
    json.object("context", |json| {
        json.object("reporting_context", |json| {
            json.texts("content_types", &[luck.pick(&["scene", "survey"])]);
        });
        json.object("state", |json| {
            let form = luck.chance(50);
            if form {
                json.object("form", |json| {
                    json.text("form_identifier", "how-was-it");
                    json.flag("submitted", luck.chance(50));
                    json.text("type", luck.pick(&["nps", "form"]));
                    json.text("response_type", luck.pick(&["nps", "user_feedback"]));
                });
            }
            if !form || luck.chance(50) {
                json.object("pager", |json| {
                    json.text("identifier", "onboarding");
                    json.text("page_identifier", "page-2");
                    json.int("page_index", 1);
                    json.int("page_count", 4);
                    json.flag("completed", false);
                });
            }
        });
    });
}

/// `locale`: an object of country and language.
pub(super) fn write_locale(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    if scene.luck.chance(50) {
        json.object("locale", |json| {
            json.text("country", device.locale.0);
            json.text("language", device.locale.1);
        });
    }
}

fn write_variant(json: &mut Json, scene: &Scene<'_>) {
    if let Some(variant) = scene.push.variant {
        json.int("variant_id", variant);
    }
}

pub(crate) fn button_tap(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_source(json, scene, device);
    write_context(json, scene);
    json.text("button_id", scene.luck.pick(&["dismiss", "shop_now", "remind_me"]));
    write_locale(json, scene, device);
}

pub(crate) fn experiences(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_source(json, scene, device);
    let name = scene.luck.pick(&[
        "scene_displayed",
        "scene_completed",
        "scene_incomplete",
        "survey_displayed",
        "survey_submitted",
        "survey_not_submitted",
    ]);
    json.text("event_name", name);
    if name.starts_with("survey") {
        json.text("survey_type", scene.luck.pick(&["nps", "user_feedback"]));
    }
    write_variant(json, scene);
}

pub(crate) fn message_control(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_source(json, scene, device);
    write_variant(json, scene);
    json.text("type", "CONTROL");
}

pub(crate) fn message_display(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_source_untimed(json, scene, device);
    write_variant(json, scene);
    if scene.luck.chance(50) {
        write_context(json, scene);
    }
}

pub(crate) fn message_exclusion(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_source(json, scene, device);
    write_variant(json, scene);
    json.text("type", "AUDIENCE_CHECK_EXCLUDED");
}

pub(crate) fn message_expiration(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_source(json, scene, device);
    write_variant(json, scene);
    let reason = scene.luck.pick(&["REPLACED", "EXPIRED", "ALREADY_DISPLAYED"]);
    json.text("type", reason);
    match reason {
        "REPLACED" => {
            json.object("replacing_push", |json| Push::new(scene.luck, scene.now).write(json));
        }
        "EXPIRED" => json.time("time_expired", scene.now),
        _ => {}
    }
}

pub(crate) fn message_resolution(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_source(json, scene, device);
    write_variant(json, scene);
    if scene.luck.chance(30) {
        write_context(json, scene);
    }
    let how = scene.luck.pick(&["BUTTON_CLICK", "MESSAGE_CLICK", "TIMED_OUT", "USER_DISMISSED"]);
    json.text("type", how);
    json.int("duration", scene.luck.between(300, 30_000));
    if how == "BUTTON_CLICK" {
        json.text("button_id", "yes");
        json.text("button_group", "ua_yes_no_foreground");
        json.text("button_description", "Yes, please");
    }
}
