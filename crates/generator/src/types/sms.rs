//! What happens by text message: delivery reports, texts from people, taps on short links.

use super::Scene;
use crate::device::Device;
use crate::json::Json;
use crate::words;

/// `CUSTOM` of a phone number: a delivery report, or an RCS read receipt
/// (reference `airship.md` 3.1).
pub(crate) fn custom(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    let luck = scene.luck;
    let form = luck.below(10);
    let name = match form {
        0 => "read",
        _ => luck.pick(&[
            "dispatched",
            "aborted",
            "rejected",
            "delivered",
            "delivered",
            "failed",
            "expired",
            "unknown",
            "undeliverable",
            "deleted",
        ]),
    };
    json.text("name", name);
    json.text("source", "API");
    if form > 0 {
        json.text("interaction_type", "delivery_report");
    }
    json.object("properties", |json| {
        json.text("sender", device.sender);
        match form {
            0 => {
                json.text("vendor", luck.pick(VENDORS));
                json.uuid("vendorDeliveryId", luck.uuid());
                json.flag("is_rcs", true);
                json.int("number_of_message_parts", luck.between(1, 3));
                json.text("recipient_country_code", device.locale.0);
            }
            1 | 2 => write_mms(json, scene),
            _ => {
                json.text("vendor", luck.pick(VENDORS));
                json.uuid("vendorDeliveryId", luck.uuid());
                if matches!(name, "failed" | "rejected" | "undeliverable") {
                    json.text("error_code", "30005");
                }
                json.flag("is_rcs", false);
            }
        }
    });
    let push = device.sent.as_ref().unwrap_or(scene.push);
    json.object("triggering_push", |json| push.write(json));
}

const VENDORS: &[&str] = &["CLX", "TWILIO"];

fn write_mms(json: &mut Json, scene: &Scene<'_>) {
    json.text("vendor", "CLX");
    json.text("result_code", scene.luck.pick(&["N101", "N102", "E101", "E102"]));
    json.text("result_status", "Delivered to handset");
    json.text("sent_as", scene.luck.pick(&["MMS", "SMS"]));
    json.text("carrier_id", "77");
    json.text("handset", "iPhone");
    json.uuid("tracking_Id", scene.luck.uuid());
}

pub(crate) fn mobile_originated(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    json.text("event_type", "mobile_originated_sms");
    write_identifiers(json, device);
    json.object("properties", |json| {
        let keyword = scene.luck.pick(words::KEYWORDS);
        let known = scene.luck.chance(70);
        json.text("inbound_message", if known { keyword } else { "is the shop open on sunday?" });
        json.text(
            "outbound_message",
            if known { "Thanks! Msg & data rates may apply." } else { "" },
        );
        if known {
            json.text("keyword", keyword);
        }
    });
}

pub(crate) fn short_link_click(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    device.sent.as_ref().unwrap_or(scene.push).write_ids(json);
    json.object("properties", |json| {
        json.text("original_url", "https://shop.example.com/deals?utm_source=sms");
    });
}

/// The phone number and the number it talks to.
pub(super) fn write_identifiers(json: &mut Json, device: &Device) {
    json.object("identifiers", |json| {
        json.text("msisdn", &device.address);
        json.text("sender", device.sender);
    });
}
