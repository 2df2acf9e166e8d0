//! Scenes of several pages within in-app messages.

use super::Scene;
use super::in_app::{write_context, write_locale, write_source};
use crate::device::Device;
use crate::json::Json;

const PAGES: i64 = 4;
const NAMES: &[&str] = &["welcome", "what-is-new", "permissions", "done"];

fn name(page: i64) -> &'static str {
    usize::try_from(page).ok().and_then(|page| NAMES.get(page)).copied().unwrap_or_default()
}

fn write_pager(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_source(json, scene, device);
    write_context(json, scene);
    json.text("pager_identifier", "onboarding");
}

fn write_page(json: &mut Json, page: i64) {
    json.text("page_identifier", name(page));
    json.int("page_index", page);
}

pub(crate) fn page_swipe(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_pager(json, scene, device);
    let from = scene.luck.between(0, PAGES - 2);
    json.text("from_page_identifier", name(from));
    json.int("from_page_index", from);
    json.text("to_page_identifier", name(from + 1));
    json.int("to_page_index", from + 1);
    write_locale(json, scene, device);
}

pub(crate) fn page_view(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_pager(json, scene, device);
    let page = scene.luck.between(0, PAGES - 1);
    write_page(json, page);
    json.int("page_count", PAGES);
    json.int("viewed_count", scene.luck.between(1, 3));
    json.flag("completed", page == PAGES - 1);
    write_locale(json, scene, device);
}

pub(crate) fn pager_completed(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_pager(json, scene, device);
    write_page(json, PAGES - 1);
    json.int("page_count", PAGES);
    write_locale(json, scene, device);
}

pub(crate) fn pager_summary(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_pager(json, scene, device);
    let viewed = scene.luck.between(1, PAGES);
    json.int("page_count", PAGES);
    json.flag("completed", viewed == PAGES);
    json.array("viewed_pages", |json| {
        for page in 0..viewed {
            json.item(|json| {
                write_page(json, page);
                json.int("display_time_ms", scene.luck.between(400, 20_000));
            });
        }
    });
    write_locale(json, scene, device);
}
