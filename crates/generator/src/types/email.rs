//! What email addresses do: delivery events as `CUSTOM`, and `SUBSCRIPTION`.

use super::Scene;
use crate::device::{Device, boolean};
use crate::json::Json;
use crate::words;

/// `CUSTOM` of an email (reference `airship.md` 3.1): what became of a message.
pub(crate) fn custom(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    let luck = scene.luck;
    let name = luck.pick(&[
        "injection",
        "delivery",
        "delay",
        "bounce",
        "open",
        "initial_open",
        "click",
        "unsubscribe",
    ]);
    json.text("name", name);
    json.text("source", "API");
    json.object("properties", |json| {
        write_mail(json, device, scene.push.alert);
        match name {
            "bounce" => write_bounce(json, scene),
            "open" | "initial_open" => write_metrics(json, scene),
            "click" => {
                json.text("link_name", "shop now");
                json.text("link_url", "https://shop.example.com/deals?utm_source=email");
                write_metrics(json, scene);
            }
            "unsubscribe" => {
                json.text(
                    "unsubscribe_event_type",
                    luck.pick(&["link_unsubscribe", "list_unsubscribe"]),
                );
            }
            _ => {}
        }
    });
    if name != "unsubscribe" {
        let push = device.sent.as_ref().unwrap_or(scene.push);
        json.object("triggering_push", |json| push.write(json));
    }
}

/// The members that all properties of an email event begin with.
pub(super) fn write_mail(json: &mut Json, device: &Device, subject: &str) {
    json.text("email", &device.address);
    json.text("sender", "hello@shop.example.com");
    json.text("subject", subject);
}

/// Why a message bounced.
pub(super) fn write_bounce(json: &mut Json, scene: &Scene<'_>) {
    json.text("bounce_class", scene.luck.pick(&["1", "10", "30", "51", "90"]));
    json.text("bounce_event_type", scene.luck.pick(&["bounce", "out_of_band"]));
}

/// What the reader's mail program told; booleans appear as strings.
fn write_metrics(json: &mut Json, scene: &Scene<'_>) {
    let mobile = scene.luck.chance(50);
    json.text("agent_family", scene.luck.pick(&["Gmail", "Apple Mail", "Outlook"]));
    json.text("device_brand", if mobile { "Apple" } else { "Other" });
    json.text("device_family", if mobile { "iPhone" } else { "Other" });
    json.text("is_mobile", boolean(mobile));
    json.text("is_prefetched", boolean(scene.luck.chance(20)));
    json.text("os_family", if mobile { "iOS" } else { "Windows" });
    json.text("os_version", if mobile { "17" } else { "10" });
}

pub(crate) fn subscription(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    let luck = scene.luck;
    json.text(
        "event_type",
        luck.pick(&[
            "registration",
            "create_and_send",
            "bounce",
            "list_unsubscribe",
            "link_unsubscribe",
            "spam_complaint",
            "out_of_band",
        ]),
    );
    json.object("identifiers", |json| json.text("address", &device.address));
    // Where lists are given there are no opt-out times.
    let lists = luck.chance(40);
    json.object("properties", |json| {
        json.time("commercial_opted_in", scene.now.plus_millis(-86_400_000));
        json.time("transactional_opted_in", scene.now.plus_millis(-86_400_000));
        if luck.chance(50) {
            json.time("open_tracking_opted_in", scene.now);
            json.time("click_tracking_opted_in", scene.now);
        }
        if !lists && luck.chance(50) {
            json.time("commercial_opted_out", scene.now);
        }
    });
    if lists {
        json.object("subscription_lists", |json| {
            json.texts("enrolled", &[luck.pick(words::LISTS)]);
            json.texts("canceled", &[]);
        });
    }
}
