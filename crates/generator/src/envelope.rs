//! What stands around a body: id, type, time, device, user (reference `airship.md` 2).

use crate::device::{Device, Platform};
use crate::json::Json;
use crate::kind::Kind;
use crate::types::{self, Scene};

/// Writes one event into `json`.
pub(crate) fn write(kind: Kind, json: &mut Json, scene: &Scene<'_>, device: &Device) {
    let luck = scene.luck;
    json.root(|json| {
        json.uuid(
            "id",
            if kind.is_server_made() { luck.timed_id(scene.now.millis()) } else { luck.uuid() },
        );
        json.text("type", kind.name());
        json.time("occurred", scene.now);
        write_device(kind, json, scene, device);
        if kind.carries_user() {
            json.object("user", |json| {
                json.uuid("contact_id", device.contact);
                if let Some(name) = &device.named_user {
                    json.text("named_user_id", name);
                }
            });
        }
        match kind {
            Kind::Send if luck.chance(5) => json.object("experiments", |json| {
                json.uuid("experiment_id", luck.uuid());
                json.text("type", luck.pick(&["EXP_GROUP", "GLOBAL"]));
                json.text("variant_id", luck.pick(&["0", "1"]));
            }),
            Kind::RichControl | Kind::Control => json.uuid("experiment_id", luck.uuid()),
            _ => {}
        }
        types::write_body(kind, json, scene, device);
    });
}

/// The `device` member in the form that the type has.
fn write_device(kind: Kind, json: &mut Json, scene: &Scene<'_>, device: &Device) {
    match kind {
        Kind::PushBody | Kind::LabelEvent => {}
        // A list may be kept for a person instead of a device.
        Kind::SubscriptionList if device.named_user.is_some() && scene.luck.chance(50) => {
            json.object("device", |json| {
                json.text("named_user_id", device.named_user.as_deref().unwrap_or_default());
            });
        }
        Kind::TagChange | Kind::SubscriptionList if device.platform == Platform::Web => {
            json.raw("device", device.bare());
        }
        Kind::Custom => json.raw("device", device.bare()),
        Kind::ShortLinkClick => json.object("device", |json| {
            write_address(json, device);
            json.object("identifiers", |json| json.text("sender", device.sender));
            json.object("attributes", |json| {
                json.text(
                    "web_user_agent_string",
                    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)",
                );
            });
        }),
        Kind::Compliance => json.object("device", |json| {
            write_address(json, device);
            if device.platform == Platform::Sms {
                json.object("identifiers", |json| json.text("sender", device.sender));
            } else if let Some(name) = &device.named_user {
                json.text("named_user", name);
            }
        }),
        _ => json.raw("device", device.full()),
    }
}

fn write_address(json: &mut Json, device: &Device) {
    json.uuid("channel", device.channel);
    json.text("device_type", device.type_name());
    json.text("delivery_address", &device.address);
}
