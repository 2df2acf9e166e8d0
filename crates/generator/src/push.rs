//! Messages that were sent: what ties `PUSH_BODY`, `SEND` and `OPEN` together.

use outflow_model::Timestamp;

use crate::json::Json;
use crate::luck::{Luck, Uuid};
use crate::words;

/// One push. Cheap to copy: devices remember the last one they were sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Push {
    pub(crate) id: Uuid,
    pub(crate) group: Option<Uuid>,
    pub(crate) variant: Option<i64>,
    pub(crate) time: Timestamp,
    campaigns: Option<&'static [&'static str]>,
    pub(crate) alert: &'static str,
    pub(crate) tag: &'static str,
}

/// The time after which a delivered push no longer counts (reference `airship.md` 2, LD).
const DELIVERED_MS: i64 = 12 * 3_600_000;

impl Push {
    pub(crate) fn new(luck: &Luck, now: Timestamp) -> Self {
        Self {
            id: luck.uuid(),
            group: luck.chance(40).then(|| luck.uuid()),
            variant: luck.chance(20).then(|| luck.between(0, 2)),
            time: now,
            campaigns: luck.chance(50).then(|| luck.pick(words::CAMPAIGNS)),
            alert: luck.pick(words::ALERTS),
            tag: luck.pick(words::GARMENTS),
        }
    }

    /// Whether it still counts as delivered lately.
    pub(crate) fn is_recent(&self, now: Timestamp) -> bool {
        now.millis() - self.time.millis() <= DELIVERED_MS
    }

    /// The members `push_id`, `group_id?`, `campaigns?`: IDS of the reference.
    pub(crate) fn write_ids(&self, json: &mut Json) {
        json.uuid("push_id", self.id);
        if let Some(group) = self.group {
            json.uuid("group_id", group);
        }
        if let Some(campaigns) = self.campaigns {
            json.object("campaigns", |json| json.texts("categories", campaigns));
        }
    }

    /// The members of PUSH of the reference.
    pub(crate) fn write(&self, json: &mut Json) {
        self.write_ids(json);
        if let Some(variant) = self.variant {
            json.int("variant_id", variant);
        }
        json.time("time", self.time);
    }
}
