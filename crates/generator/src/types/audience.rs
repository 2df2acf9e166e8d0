//! What a device or a person is tagged with, subscribed to and entitled to.

use super::Scene;
use crate::device::Device;
use crate::json::Json;
use crate::words;

pub(crate) fn attribute_operation(json: &mut Json, scene: &Scene<'_>, _: &Device) {
    let luck = scene.luck;
    let removes = luck.chance(30);
    if !removes || luck.chance(30) {
        json.array("set", |json| {
            for _ in 0..=luck.below(2) {
                json.item(|json| {
                    json.text("key", luck.pick(words::ATTRIBUTES));
                    match luck.chance(60) {
                        true => json.text("value", luck.pick(words::COLOURS)),
                        false => json.millionths("value", luck.between(0, 500_000_000)),
                    }
                });
            }
        });
    }
    if removes {
        json.array("remove", |json| {
            json.item(|json| json.text("key", luck.pick(words::ATTRIBUTES)));
        });
    }
}

pub(crate) fn contact_change(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    json.text("change_type", scene.luck.pick(&["ASSOCIATION", "DISSOCIATION", "UNINSTALL"]));
    json.uuid("channel_id", device.channel);
    json.uuid("contact_id", device.contact);
    if let Some(name) = &device.named_user {
        json.text("named_user_id", name);
    }
}

pub(crate) fn feature_flag_interaction(json: &mut Json, scene: &Scene<'_>, _: &Device) {
    json.uuid("flag_id", scene.luck.uuid());
    json.text("flag_name", scene.luck.pick(words::FLAGS));
    json.flag("eligible", scene.luck.chance(60));
    if scene.luck.chance(50) {
        json.uuid("variant_id", scene.luck.uuid());
    }
}

pub(crate) fn subscription_list(json: &mut Json, scene: &Scene<'_>, _: &Device) {
    let luck = scene.luck;
    let list = luck.pick(words::LISTS);
    let key = luck.pick(&["enrolled", "canceled"]);
    json.texts(key, &[list]);
    if luck.chance(50) {
        json.texts("current", if key == "enrolled" { &["newsletter", "surveys"] } else { &[] });
    }
    if luck.chance(50) {
        json.text("scope", luck.pick(&["app", "web", "email", "sms"]));
    }
}

pub(crate) fn tag_change(json: &mut Json, scene: &Scene<'_>, _: &Device) {
    let luck = scene.luck;
    let (tag, other) = (luck.pick(words::GARMENTS), luck.pick(words::GARMENTS));
    let group = |json: &mut Json, key: &str, tags: &[&str]| {
        json.object(key, |json| json.texts("device", tags));
    };
    let adds = luck.chance(60);
    if adds {
        group(json, "add", &[tag]);
    }
    if !adds || luck.chance(20) {
        group(json, "remove", &[other]);
    }
    if luck.chance(70) {
        group(json, "current", if adds { std::slice::from_ref(&tag) } else { &[] });
    }
}
