//! A small company's billing: accounts, their invoices and usage, that keep changing, as the
//! entities of a keyed stream (reference `aria_itas_amperity.md` 1.4 and 1.5).

use crate::json::Json;
use crate::luck::Luck;

/// A type of entity: name, key, alternative key, group, and what it depends on.
pub type BillingType =
    (&'static str, &'static str, Option<&'static str>, &'static str, &'static [&'static str]);

/// The types of the company's entities.
pub const BILLING_TYPES: [BillingType; 3] = [
    ("Account", "account_no", Some("userid"), "Account", &[]),
    ("Invoice", "invoice_no", None, "Financial", &["Account"]),
    ("Usage_Record", "usage_rec_no", None, "Account", &["Account"]),
];

/// How many accounts there are in the end.
const ACCOUNTS: i64 = 100;
/// How many records of usage there are before the oldest go.
const USAGE: i64 = 200;
/// The numbers that the first of each begins after.
const FIRST: i64 = 21_000_000;

const STATES: [&str; 3] = ["Active", "Dunning", "Suspended"];
const NAMES: [&str; 4] = ["A. Okafor", "B. Schäfer", "C. Ortiz", "D. Tanaka"];

/// An endless source of changes.
#[derive(Debug)]
pub struct Billing {
    luck: Luck,
    json: Json,
    accounts: i64,
    invoices: i64,
    usage: i64,
    retired: i64,
}

impl Billing {
    /// A source that draws from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let luck = Luck::new(seed);
        Self { luck, json: Json::default(), accounts: 0, invoices: 0, usage: 0, retired: 0 }
    }

    /// The next change, one JSON object. It stands until the next call.
    pub fn next_change(&mut self) -> &str {
        if self.accounts < 3 || (self.accounts < ACCOUNTS && self.luck.chance(10)) {
            self.open_account();
        } else if self.usage - self.retired >= USAGE {
            self.retire_usage();
        } else {
            match self.luck.below(10) {
                0..5 => self.record_usage(),
                5..8 => self.change_account(),
                8 => self.raise_invoice(),
                _ => self.pay_invoice(),
            }
        }
        self.json.as_str()
    }

    fn open_account(&mut self) {
        self.accounts += 1;
        let (no, name) = (FIRST + self.accounts, self.luck.pick(&NAMES));
        self.change("create", "Account", ("account_no", no), true, |json| {
            json.int("account_no", no);
            json.text("name", name);
            json.raw("client_account_id", "null");
            json.raw("balance", "0.00");
            json.text("status", STATES[0]);
        });
    }

    fn change_account(&mut self) {
        let no = FIRST + self.luck.between(1, self.accounts);
        let (cents, state) = (self.luck.between(0, 50_000), self.luck.pick(&STATES));
        self.change("update", "Account", ("account_no", no), false, |json| {
            json.raw("balance", &format!("{}.{:02}", cents / 100, cents % 100));
            json.text("status", state);
        });
    }

    fn raise_invoice(&mut self) {
        self.invoices += 1;
        let (no, account) = (FIRST + self.invoices, FIRST + self.luck.between(1, self.accounts));
        let cents = self.luck.between(500, 90_000);
        self.change("create", "Invoice", ("invoice_no", no), false, |json| {
            json.int("invoice_no", no);
            json.raw("account", &reference("Account", "account_no", account));
            json.raw("amount", &format!("{}.{:02}", cents / 100, cents % 100));
            json.flag("paid", false);
        });
    }

    fn pay_invoice(&mut self) {
        if self.invoices == 0 {
            return self.raise_invoice();
        }
        let no = FIRST + self.luck.between(1, self.invoices);
        self.change("update", "Invoice", ("invoice_no", no), false, |json| json.flag("paid", true));
    }

    fn record_usage(&mut self) {
        self.usage += 1;
        let (no, account) = (FIRST + self.usage, FIRST + self.luck.between(1, self.accounts));
        let units = self.luck.between(1, 1_000);
        self.change("create", "Usage_Record", ("usage_rec_no", no), false, |json| {
            json.int("usage_rec_no", no);
            json.raw("account", &reference("Account", "account_no", account));
            json.int("units", units);
        });
    }

    fn retire_usage(&mut self) {
        self.retired += 1;
        let no = FIRST + self.retired;
        self.change("delete", "Usage_Record", ("usage_rec_no", no), false, |_| {});
    }

    fn change(
        &mut self,
        kind: &str,
        entity_type: &str,
        (key, no): (&str, i64),
        has_user: bool,
        fields: impl FnOnce(&mut Json),
    ) {
        self.json.root(|json| {
            json.text("type", kind);
            json.object("ref", |json| {
                json.text("type", entity_type);
                json.object("ids", |json| {
                    json.int(key, no);
                    if has_user {
                        json.text("userid", &format!("user{no}"));
                    }
                });
            });
            json.object("body", fields);
        });
    }
}

fn reference(entity_type: &str, key: &str, no: i64) -> String {
    format!(r#"{{"type":"{entity_type}","ids":{{"{key}":{no}}}}}"#)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_change_is_of_something_that_is_there() {
        let mut billing = Billing::new(3);
        let mut there = BTreeSet::new();
        for _ in 0..3_000 {
            let change: serde_json::Value = serde_json::from_str(billing.next_change()).unwrap();
            let entity_type = change["ref"]["type"].as_str().unwrap();
            let (_, key, ..) =
                BILLING_TYPES.into_iter().find(|(name, ..)| *name == entity_type).unwrap();
            let id = format!("{entity_type} {}", change["ref"]["ids"][key].as_i64().unwrap());
            assert!(change["body"].is_object());
            match change["type"].as_str().unwrap() {
                "create" => assert!(there.insert(id)),
                "update" => assert!(there.contains(&id)),
                _ => assert!(there.remove(&id)),
            }
        }
        assert!(there.len() > 300, "{}", there.len());
    }
}
