//! Surveys and forms within in-app messages.

use super::Scene;
use super::in_app::{write_context, write_source};
use crate::device::Device;
use crate::json::Json;

const FORMS: &[&str] = &["how-was-it", "nps-2026", "feedback"];

pub(crate) fn display(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    write_source(json, scene, device);
    write_context(json, scene);
    json.text("type", "DISPLAY");
    json.array("forms", |json| json.item(|json| json.text("form_id", scene.luck.pick(FORMS))));
}

pub(crate) fn result(json: &mut Json, scene: &Scene<'_>, device: &Device) {
    let luck = scene.luck;
    write_source(json, scene, device);
    write_context(json, scene);
    json.text("type", "RESULT");
    let kind = luck.pick(&["nps", "form"]);
    let score = luck.between(0, 10);
    json.array("forms", |json| {
        json.item(|json| {
            json.text("form_id", luck.pick(FORMS));
            json.text("type", kind);
            json.text("response_type", if kind == "nps" { "nps" } else { "user_feedback" });
            if kind == "nps" {
                json.object("nps", |json| {
                    json.text("question_id", "would-you-recommend-us");
                    json.int("score", score);
                    json.text("audience_category", category(score));
                });
            }
            json.array("responses", |json| write_responses(json, scene, kind, score));
        });
    });
}

const fn category(score: i64) -> &'static str {
    match score {
        9.. => "PROMOTER",
        7 | 8 => "PASSIVE",
        _ => "DETRACTOR",
    }
}

fn write_responses(json: &mut Json, scene: &Scene<'_>, form: &str, score: i64) {
    let mut answer = |question: &str, kind: &str, fill: &dyn Fn(&mut Json)| {
        json.item(|json| {
            json.text("question_id", question);
            json.text("type", kind);
            fill(json);
        });
    };
    if form == "nps" {
        answer("would-you-recommend-us", "score", &|json| json.int("value", score));
    } else {
        answer("drink", "single_choice", &|json| {
            json.text("value", scene.luck.pick(&["pour-over", "cortado"]));
        });
        answer("days", "multiple_choice", &|json| json.texts("value", &["saturday", "sunday"]));
    }
    match scene.luck.below(3) {
        0 => answer("why", "text_input", &|json| json.text("value", "the \"good\" beans,\nalways")),
        1 => answer("contact", "email_input", &|json| json.text("value", "someone@example.com")),
        _ => {}
    }
}
