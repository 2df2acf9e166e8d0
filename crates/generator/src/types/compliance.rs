//! `COMPLIANCE`: who consented to what, and when it ended (reference `airship.md` 3.2).

use super::Scene;
use super::email::{write_bounce, write_mail};
use super::sms::write_identifiers;
use crate::device::Device;
use crate::json::Json;
use crate::words;

/// The `body` of an email address.
pub(crate) fn email(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    let luck = scene.luck;
    let form = luck.below(4);
    json.text(
        "event_type",
        match form {
            0 | 1 => "registration",
            2 => "bounce",
            _ => "create_and_send",
        },
    );
    json.object("identifiers", |json| json.text("address", &device.address));
    json.object("properties", |json| match form {
        0 => {
            json.text("registration_type", luck.pick(&["create", "update", "opt_in", "unbounce"]));
            json.time("commercial_opted_in", scene.now);
            json.text(
                "suppression_state",
                luck.pick(&[
                    "imported",
                    "spam_complaint",
                    "commercial_spam_complaint",
                    "out_of_band",
                    "bounce",
                    "none",
                ]),
            );
            json.text("source", "ui");
            json.text("user", "pat@shop.example.com");
        }
        1 => {
            json.text("message_type", "commercial");
            json.text("registration_type", "unsubscribe");
        }
        2 => {
            write_bounce(json, scene);
            write_mail(json, device, scene.push.alert);
        }
        _ => {
            json.flag("channel_registered", luck.chance(80));
            json.time("commercial_opted_in", scene.now);
            json.time("transactional_opted_in", scene.now);
        }
    });
    if form == 1 && luck.chance(50) {
        json.object("subscription_lists", |json| {
            json.texts("canceled", &[luck.pick(words::LISTS)]);
        });
    }
}

const SMS_EVENTS: &[&str] = &[
    "registration",
    "create_and_send",
    "api_initiate_opt_in",
    "mobile_opt_in",
    "mobile_opt_out",
    "mobile_keyword_matched",
    "mobile_keyword_unmatched",
    "custom_keyword_response",
    "mobile_create_channel",
    "mobile_terminated_message",
    "opted_out",
    "uninstall",
    "carrier_deactivation",
    "rnd_scan",
    "suppression_removed",
];

/// The `body` of a phone number.
pub(crate) fn sms(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    let event = scene.luck.pick(SMS_EVENTS);
    json.text("event_type", event);
    write_identifiers(json, device);
    json.object("properties", |json| write_sms_properties(json, scene, event));
}

fn write_sms_properties(json: &mut Json, scene: &Scene<'_>, event: &str) {
    let luck = scene.luck;
    let mut texted = |inbound: &str, outbound: &str| {
        json.text("inbound_message", inbound);
        json.text("outbound_message", outbound);
    };
    match event {
        "registration" => {
            json.text("registration_type", luck.pick(&["create", "update"]));
            json.time("opted_in", scene.now);
        }
        "create_and_send" => {
            json.flag("channel_registered", luck.chance(80));
            json.time("opted_in", scene.now);
        }
        "mobile_opt_in" | "mobile_keyword_matched" => {
            let keyword = luck.pick(words::KEYWORDS);
            texted(keyword, "You are in. Reply STOP to end.");
            json.text("keyword", keyword);
        }
        "mobile_opt_out" => {
            let keyword = luck.pick(words::STOP_WORDS);
            texted(keyword, "You will get no more messages.");
            json.text("keyword", keyword);
        }
        "mobile_keyword_unmatched" => texted("hallo?", "Sorry, we did not understand."),
        "custom_keyword_response" => texted("HOURS", "Open 8 to 6, closed mondays."),
        "mobile_create_channel" => {
            json.time("opted_in", scene.now);
            json.text("registration_type", "create");
        }
        "carrier_deactivation" => json.text("action", luck.pick(&["uninstalled", "suppressed"])),
        "rnd_scan" => {
            json.text("action", luck.pick(&["suppression_removed", "uninstalled", "none"]));
            json.flag("reassigned", luck.chance(20));
            json.uuid("scan_id", luck.uuid());
            json.text("source", luck.pick(&["monthly_scan", "app_scan"]));
        }
        "suppression_removed" => json.text("source", "ui"),
        _ => {}
    }
}
