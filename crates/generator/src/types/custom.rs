//! `CUSTOM` events of apps, browsers and open channels (reference `airship.md` 3.1).

use super::{Scene, write_session};
use crate::device::Device;
use crate::json::Json;
use crate::words;

/// Some values lie beyond what a double holds, so that a client which rounds numbers is found out.
const BEYOND_DOUBLE: &str = "9007199254740993.000001";

pub(crate) fn general(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    let luck = scene.luck;
    let name = luck.pick(words::CUSTOM_NAMES);
    let (category, description) = luck.pick(words::PRODUCTS);
    json.text("name", name);
    json.text("source", if luck.chance(80) { "SDK" } else { "API" });
    match luck.below(50) {
        0 => json.raw("value", BEYOND_DOUBLE),
        1..25 => json.millionths("value", luck.between(0, 250_000_000)),
        _ => {}
    }
    if name == "purchased" {
        json.uuid("transaction", luck.uuid());
    }
    if luck.chance(30) {
        json.text(
            "interaction_type",
            luck.pick(&[
                "ua_mcrap",
                "ua_landing_page",
                "ua_interactive_notification",
                "ua_button_tap",
            ]),
        );
        json.text("interaction_id", "your.store/us/en_us/pd/category/item-68");
    }
    if luck.chance(20) {
        json.text("customer_id", "crm-20417");
    }
    json.object("properties", |json| {
        json.text("category", category);
        json.text("description", description);
        json.flag("brand_new", luck.chance(50));
        json.int("quantity", luck.between(1, 5));
        json.texts("tags", &[luck.pick(words::GARMENTS), luck.pick(words::GARMENTS)]);
    });
    if device.is_app() {
        write_session(json, scene, device);
    }
}
