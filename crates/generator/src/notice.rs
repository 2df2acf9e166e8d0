//! Notices of a trading company, as the test data of an events service like Hivedome's: messages
//! of the generic template TID-002 (reference `aria_itas_amperity.md` 2.1).

use crate::json::Json;
use crate::luck::Luck;

/// A topic of a company: its name and what it is about, the template first.
pub type Topic = (&'static str, &'static str);

/// The topics that notices are made for.
pub const TOPICS: [Topic; 4] = [
    ("INVOICES", "TID-002: invoices raised and approved"),
    ("PAYMENTS", "TID-002: payments received"),
    ("2-220", "TID-002: physical contracts created"),
    ("6-21", "TID-002: documents produced"),
];

/// What the notices of each topic say, in the order of [`TOPICS`].
const TITLES: [(&str, &str); 4] = [
    ("Invoice", "was approved"),
    ("Payment", "was received"),
    ("Physical contract", "was created"),
    ("Document", "was produced"),
];

const DEPARTMENTS: [&str; 4] = ["Accounts", "Logistics", "Operations", "Trading"];
const PEOPLE: [&str; 5] = ["A. Clarke", "J. Okafor", "M. Schäfer", "R. Ortiz", "Y. Tanaka"];

/// An endless source of notices.
#[derive(Debug)]
pub struct Notices {
    company: &'static str,
    luck: Luck,
    json: Json,
    number: i64,
}

impl Notices {
    /// A source for a company that draws from `seed`.
    #[must_use]
    pub fn new(company: &'static str, seed: u64) -> Self {
        Self { company, luck: Luck::new(seed), json: Json::default(), number: 10_000 }
    }

    /// The next notice: which of [`TOPICS`], and its body, one JSON object. It stands until the
    /// next call.
    pub fn next_notice(&mut self) -> (usize, &str) {
        let Self { company, luck, json, number } = self;
        *number += 1;
        // Invoices most of all: they are what the first lines of an example ask for.
        let topic = if luck.chance(60) { 0 } else { luck.below(TOPICS.len()) };
        let (what, happened) = TITLES.get(topic).copied().unwrap_or_default();
        let title = format!("{what} {number}");
        let message = format!("{title} {happened}");
        let submitted_by = luck.pick(&PEOPLE);
        let value = format!("{number}");
        let department = luck.pick(&DEPARTMENTS);
        json.root(|json| {
            json.text("TID", "TID-002");
            json.object("InnerBody", |json| {
                json.text("TradingEntity", company);
                json.text("Title", &title);
                json.text("Message", &message);
                json.text("SubmittedBy", submitted_by);
                json.array("AdditionalParameters", |json| {
                    for (key, value) in [("Number", value.as_str()), ("Department", department)] {
                        json.item(|json| {
                            json.text("Key", key);
                            json.text("Value", value);
                        });
                    }
                });
            });
        });
        (topic, json.as_str())
    }
}
