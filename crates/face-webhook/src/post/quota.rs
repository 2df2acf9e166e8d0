//! How many of an endpoint's attempts are told of: some in each second, and its last one.
//!
//! Called by the post for each attempt, and when a second is over. An endpoint that takes thousands of requests a
//! second, or fails every millisecond, must not fill the log that all share.
//!
//! Invariant: what is left out is counted, and told when the second is over, also if no attempt follows.

use outflow_model::Timestamp;

use crate::attempts::AttemptEntry;

/// How many are told of in a second, beside its last one.
const A_SECOND: u32 = 10;
const SECOND_MS: i64 = 1_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Quota {
    second: i64,
    told: u32,
    /// How many were left out of this second before the last one.
    left_out: u64,
    /// The last one that there was no room for. Apart from the endpoint, most of which have none.
    last: Option<Box<AttemptEntry>>,
}

impl Quota {
    /// An attempt has ended: what is told of now, in this order.
    pub(super) fn admit(
        &mut self,
        entry: AttemptEntry,
        now: Timestamp,
    ) -> impl Iterator<Item = AttemptEntry> {
        let before = self.over(now);
        let is_told = self.told < A_SECOND;
        let entry = if is_told {
            self.told += 1;
            Some(entry)
        } else {
            match &mut self.last {
                Some(last) => {
                    **last = entry;
                    self.left_out += 1;
                }
                None => self.last = Some(Box::new(entry)),
            }
            None
        };
        before.into_iter().chain(entry)
    }

    /// The last one of a second that is over, if it was not told of, with how many were left out before it.
    pub(super) fn over(&mut self, now: Timestamp) -> Option<AttemptEntry> {
        let second = now.millis().div_euclid(SECOND_MS);
        if std::mem::replace(&mut self.second, second) == second {
            return None;
        }
        self.told = 0;
        self.last()
    }

    /// The last one that was not told of, whether its second is over or not.
    pub(super) fn last(&mut self) -> Option<AttemptEntry> {
        let left_out = std::mem::take(&mut self.left_out);
        self.last.take().map(|last| AttemptEntry { left_out, ..*last })
    }

    /// When there is something to be told of, if no attempt ends before.
    pub(super) fn due(&self) -> Option<Timestamp> {
        let end = self.second.saturating_add(1).saturating_mul(SECOND_MS);
        self.last.as_ref().map(|_| Timestamp::from_millis(end))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::BatchSize;

    fn attempt(number: u32) -> AttemptEntry {
        AttemptEntry {
            message: String::new(),
            offsets: Vec::new(),
            size: BatchSize::default(),
            number,
            outcome: "refused",
            failure: None,
            status: Some(422),
            duration_ms: 1,
            excerpt: Bytes::new(),
            next: None,
            left_out: 0,
        }
    }

    #[test]
    fn some_are_told_of_in_a_second_and_the_others_counted_when_it_is_over() {
        let mut quota = Quota::default();
        let at = Timestamp::from_millis;
        let mut admit = |number: u32, millis: i64| -> Vec<(u32, u64)> {
            let told = quota.admit(attempt(number), at(millis));
            told.map(|one| (one.number, one.left_out)).collect()
        };
        let told: Vec<(u32, u64)> = (1..=50).flat_map(|number| admit(number, 999)).collect();
        assert_eq!(told, (1..=10).map(|number| (number, 0)).collect::<Vec<_>>());
        // Another attempt, and nothing but time.
        assert_eq!(admit(51, 1_000), [(50, 39), (51, 0)]);
        assert_eq!((52..=70).flat_map(|number| admit(number, 1_500)).count(), 9);
        assert_eq!(
            (quota.due(), quota.over(at(1_999)).map(|one| one.number)),
            (Some(at(2_000)), None)
        );
        let last = quota.over(at(2_000)).map(|one| (one.number, one.left_out));
        assert_eq!((last, quota.due()), (Some((70, 9)), None));
        assert_eq!(quota.over(at(9_000)).map(|one| one.number), None);
    }
}
