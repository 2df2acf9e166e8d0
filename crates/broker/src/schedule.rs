//! When a message is delivered, and how often: what its headers `AMQ_SCHEDULED_…` say, as ActiveMQ's
//! scheduler takes them (reference `activemq.md` a5, Scheduled).
//!
//! Called by the faces for every message that is sent. One that is delivered once, later, is stored with
//! the time from which it may be seen; any other is a schedule of the hub's. Times of cron entries are in
//! UTC, and where one comes without repeats a delay says nothing.

use std::borrow::Cow;

use outflow_hub::schedule::{Cron, MIN_PERIOD_MS, Recurrence};
use outflow_hub::subscription::headers::SCHEDULE_ID;
use outflow_model::draft::Rules;

use crate::failure::Failure;
use crate::letter::{DELIVER_AT, Letter};

/// What all of the headers begin with.
const PREFIX: &str = "AMQ_SCHEDULED_";
/// The milliseconds until it is delivered first.
const DELAY: &str = "AMQ_SCHEDULED_DELAY";
/// The milliseconds between deliveries.
const PERIOD: &str = "AMQ_SCHEDULED_PERIOD";
/// How often it is delivered after the first time; below 0: for ever.
const REPEAT: &str = "AMQ_SCHEDULED_REPEAT";
/// A cron entry: the times at which it is delivered.
const CRON: &str = "AMQ_SCHEDULED_CRON";

/// The most repeats, as many as ActiveMQ takes.
const MAX_REPEATS: u32 = 1_000;

impl<B: AsRef<[u8]>> Letter<'_, B> {
    /// Takes the headers that say when the message is delivered. One that a schedule has delivered
    /// before, which [`SCHEDULE_ID`] tells, is not delivered by it again: who sends on what was received
    /// sends its properties, too.
    ///
    /// # Errors
    /// [`Failure`] names the one that cannot be followed.
    pub fn schedule(&mut self, rules: &Rules) -> Result<(), Failure> {
        if !self.headers.iter().any(|(name, _)| name.starts_with(PREFIX)) {
            return Ok(());
        }
        let says = |name: &str| self.headers.iter().any(|(known, _)| known == name);
        if says(SCHEDULE_ID) || ![DELAY, PERIOD, CRON].into_iter().any(says) {
            return Ok(());
        }
        let (delay, period) = (self.millis(DELAY)?, self.millis(PERIOD)?);
        let (repeats, cron) = (self.repeats()?, self.cron()?);
        if repeats == Some(0) && cron.is_none() {
            let after = if delay > 0 { delay } else { period };
            let after = i64::try_from(after).unwrap_or(i64::MAX);
            self.time(DELIVER_AT, rules.now.plus_millis(after));
            return Ok(());
        }
        if repeats != Some(0) && period < MIN_PERIOD_MS {
            return Err(Failure::malformed(format!(
                "The header {PERIOD} of a message that is repeated is at least {MIN_PERIOD_MS}"
            )));
        }
        self.recurrence = Some(Recurrence { cron, delay, period, repeats });
        Ok(())
    }

    /// A header in milliseconds; 0 where it is missing.
    fn millis(&mut self, name: &str) -> Result<u64, Failure> {
        let Some(value) = self.take(name) else { return Ok(0) };
        let millis: i64 = value.trim().parse().map_err(|_| {
            Failure::malformed(format!("The header {name} is not a number of milliseconds"))
        })?;
        Ok(u64::try_from(millis).unwrap_or(0))
    }

    /// How many deliveries follow the first; `None`: they never end.
    fn repeats(&mut self) -> Result<Option<u32>, Failure> {
        let Some(value) = self.take(REPEAT) else { return Ok(Some(0)) };
        let number: i64 = value.trim().parse().map_err(|_| {
            Failure::malformed(format!("The header {REPEAT} is not a whole number"))
        })?;
        match u32::try_from(number) {
            Ok(repeats) if repeats <= MAX_REPEATS => Ok(Some(repeats)),
            Err(_) if number < 0 => Ok(None),
            // ActiveMQ's words.
            _ => Err(Failure::malformed("The scheduled repeat value is too large")),
        }
    }

    fn cron(&mut self) -> Result<Option<Cron>, Failure> {
        let Some(entry) = self.take(CRON).filter(|entry| !entry.trim().is_empty()) else {
            return Ok(None);
        };
        let read = Cron::parse(&entry);
        let refused = |error| Failure::malformed(format!("The header {CRON}: {error}"));
        read.map(Some).map_err(refused)
    }

    /// Takes a header out.
    fn take(&mut self, name: &str) -> Option<Cow<'_, str>> {
        let at = self.headers.iter().position(|(known, _)| known == name)?;
        Some(self.headers.remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    use outflow_model::Timestamp;

    use super::*;
    use crate::letter::Content;

    const RULES: Rules = Rules {
        now: Timestamp::from_millis(1_000_000),
        max_event_bytes: 1_000,
        max_depth: 10,
        max_age_ms: i64::MAX,
        max_ahead_ms: 0,
    };

    /// What comes of a message with these headers: what is left of them, and when it is published.
    fn read(
        headers: &[(&'static str, &'static str)],
    ) -> Result<(String, Option<Recurrence>), Failure> {
        let mut letter: Letter<'_, &[u8]> = Letter::new(Content::None, headers.len());
        for (name, value) in headers {
            letter.keep((*name).into(), (*value).into());
        }
        letter.schedule(&RULES)?;
        let left: Vec<String> =
            letter.headers.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        Ok((left.join(" "), letter.recurrence))
    }

    #[test]
    fn one_delivery_needs_no_schedule() {
        let at = |millis| format!("{DELIVER_AT}:{}", RULES.now.plus_millis(millis));
        assert_eq!(read(&[(DELAY, "1500")]).unwrap(), (at(1_500), None));
        assert_eq!(read(&[(PERIOD, "700"), (REPEAT, "0")]).unwrap(), (at(700), None));
        assert_eq!(read(&[(DELAY, "-5"), (CRON, " ")]).unwrap(), (at(0), None));
        assert_eq!(read(&[(REPEAT, "3")]).unwrap(), (format!("{REPEAT}:3"), None));
        let sent_on = read(&[(DELAY, "1"), (SCHEDULE_ID, "7")]).unwrap();
        assert_eq!(sent_on, (format!("{DELAY}:1 {SCHEDULE_ID}:7"), None));
    }

    #[test]
    fn repeats_and_cron_entries_are_schedules() {
        let (left, found) =
            read(&[("a", "b"), (DELAY, "5"), (PERIOD, "500"), (REPEAT, "9")]).unwrap();
        let expected = Recurrence { cron: None, delay: 5, period: 500, repeats: Some(9) };
        assert_eq!((left.as_str(), found), ("a:b", Some(expected)));
        let (_, found) = read(&[(PERIOD, "500"), (REPEAT, "-1")]).unwrap();
        assert_eq!(found.unwrap().repeats, None);
        let (left, found) = read(&[(CRON, "0 * * * *")]).unwrap();
        let cron = Some(Cron::parse("0 * * * *").unwrap());
        let expected = Recurrence { cron, delay: 0, period: 0, repeats: Some(0) };
        assert_eq!((left.as_str(), found), ("", Some(expected)));
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_name() {
        for (headers, name) in [
            (&[(DELAY, "soon")][..], DELAY),
            (&[(PERIOD, "")], PERIOD),
            (&[(PERIOD, "500"), (REPEAT, "often")], REPEAT),
            (&[(PERIOD, "500"), (REPEAT, "1001")], "repeat value is too large"),
            (&[(PERIOD, "99"), (REPEAT, "1")], PERIOD),
            (&[(DELAY, "500"), (REPEAT, "1")], PERIOD),
            (&[(CRON, "* * *")], CRON),
            (&[(CRON, "0 0 30 2 *")], CRON),
        ] {
            let refused = read(headers).unwrap_err();
            assert!(refused.message.contains(name), "{headers:?}: {refused}");
        }
    }
}
