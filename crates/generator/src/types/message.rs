//! Messages on their way: made, sent, refused, read.

use super::Scene;
use crate::device::Device;
use crate::json::Json;
use crate::words;

/// `PUSH_BODY`: the push specification as base64 of JSON.
pub(crate) fn push_body(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    let push = scene.push;
    let mut payload = Json::default();
    payload.root(|json| {
        let platform = device.type_name().to_ascii_lowercase();
        json.object("audience", |json| json.text("tag", push.tag));
        json.texts("device_types", &[&platform]);
        json.object("notification", |json| {
            json.text("alert", push.alert);
            json.object(&platform, |json| json.text("alert", push.alert));
        });
    });
    json.text("payload", &base64(payload.as_str().as_bytes()));
    json.text(
        "resource",
        scene.luck.pick(&[
            "PUSH",
            "PUSH",
            "PIPELINES",
            "SCHEDULES",
            "EXPERIMENTS",
            "IN_APP_AUTOMATION",
        ]),
    );
    json.flag("trimmed", false);
    push.write_ids(json);
}

pub(crate) fn label_event(json: &mut Json, scene: &Scene<'_>, _: &Device) {
    json.uuid("push_id", scene.push.id);
    if let Some(group) = scene.push.group {
        json.uuid("group_id", group);
    }
    json.array("labels", |json| {
        for _ in 0..=scene.luck.below(2) {
            json.item(|json| {
                json.uuid("id", scene.luck.uuid());
                json.text("label", scene.luck.pick(words::LABELS));
            });
        }
    });
}

/// `SEND`; the generator has made `scene.push` the device's last one.
pub(crate) fn send(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    let luck = scene.luck;
    scene.push.write_ids(json);
    if let Some(variant) = scene.push.variant {
        json.int("variant_id", variant);
    }
    if device.is_app() {
        json.flag("alerting", luck.chance(90));
    } else {
        json.flag("open_tracking", luck.chance(50));
        json.flag("click_tracking", luck.chance(50));
    }
    if luck.chance(10) {
        json.object("context", |json| {
            json.text("triggered_by", "custom_event");
            json.uuid("event_uuid", luck.uuid());
            json.text("transaction", "order-7731");
        });
    }
}

pub(crate) fn send_aborted(json: &mut Json, scene: &Scene<'_>, _: &Device) {
    scene.push.write_ids(json);
    json.text(
        "reason",
        scene.luck.pick(&[
            "FEED_BANNED_RESPONSE",
            "FEED_REQUEST_REJECTED",
            "FEED_RESOLVE_FAILURE",
            "FREQUENCY_LIMIT_FAILURE",
            "FREQUENCY_LIMIT_REACHED",
            "UNKNOWN",
        ]),
    );
}

pub(crate) fn send_rejected(json: &mut Json, scene: &Scene<'_>, _: &Device) {
    scene.push.write_ids(json);
    if let Some(variant) = scene.push.variant {
        json.int("variant_id", variant);
    }
    json.text(
        "status",
        scene.luck.pick(&[
            "BadDeviceToken",
            "Unauthorized",
            "InvalidPackageName",
            "InvalidParameters",
            "Unavailable",
            "MessageTooBig",
            "InvalidTtl",
            "InvalidDataKey",
            "MissingRegistration",
            "Uninstalled",
        ]),
    );
}

/// `CONTROL`: in the control group of an experiment, so nothing was sent.
pub(crate) fn control(json: &mut Json, scene: &Scene<'_>, _: &Device) {
    scene.push.write_ids(json);
    json.uuid("experiment_id", scene.luck.uuid());
}

pub(crate) fn rich_control(json: &mut Json, scene: &Scene<'_>, _: &Device) {
    scene.push.write_ids(json);
}

/// `RICH_DELIVERY`, `RICH_READ`, `RICH_DELETE`.
pub(crate) fn rich(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    device.sent.as_ref().unwrap_or(scene.push).write_ids(json);
    if scene.luck.chance(30) {
        json.object("context", |json| json.object("extra", |json| json.text("tab", "inbox")));
    }
}

pub(crate) fn web_click(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    device.sent.as_ref().unwrap_or(scene.push).write(json);
}

/// RFC 4648 base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |acc, &byte| acc << 8 | u32::from(byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sextet = (group >> (18 - 6 * place)) as usize & 63;
            let letter = ALPHABET.get(sextet).copied().filter(|_| place <= chunk.len());
            out.push(char::from(letter.unwrap_or(b'=')));
        }
    }
    out
}
