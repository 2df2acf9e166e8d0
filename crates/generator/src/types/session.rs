//! Opening, moving about, closing, removing the app.

use super::{Scene, write_session};
use crate::device::Device;
use crate::json::Json;
use crate::words;

/// `OPEN` and `WEB_SESSION`: LD, TP, SES.
pub(crate) fn open(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_session(json, scene, device);
}

pub(crate) fn close(json: &mut Json, _: &Scene<'_>, device: &Device) {
    json.uuid("session_id", device.session);
}

/// Latitude and longitude are strings.
pub(crate) fn location(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    let drift = |degrees: i64| degrees + scene.luck.between(-3_000, 3_000);
    json.millionths_text("latitude", drift(device.place.0));
    json.millionths_text("longitude", drift(device.place.1));
    json.flag("foreground", scene.luck.chance(70));
    json.uuid("session_id", device.session);
}

pub(crate) fn region(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    let (id, name) = scene.luck.pick(words::REGIONS);
    json.text("action", scene.luck.pick(&["enter", "exit"]));
    json.text("region_id", id);
    json.object("source_info", |json| {
        json.text("source", "Gimbal");
        json.text("region_id", id);
    });
    json.text("name", name);
    json.uuid("session_id", device.session);
}

pub(crate) fn screen_viewed(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    json.text("viewed_screen", device.screen);
    json.text("previous_screen", device.previous_screen);
    json.int("duration", scene.luck.between(150, 90_000));
    json.uuid("session_id", device.session);
}

pub(crate) fn uninstall(json: &mut Json, scene: &Scene<'_>, _: &Device) {
    json.flag("decay", scene.luck.chance(10));
}
