//! What a bench found: rows of medians, as a table or as JSON.

use std::io::Write as _;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::{BenchError, During as _};

/// One run of one scene.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Run {
    /// Events a second: acknowledged, or read.
    pub(crate) rate: f64,
    /// Microseconds, where the scene has a latency.
    pub(crate) p50_us: Option<u64>,
    pub(crate) p99_us: Option<u64>,
    pub(crate) p999_us: Option<u64>,
    /// Server CPU microseconds for each event.
    pub(crate) cpu_us: Option<f64>,
    /// What the numbers above do not say.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
}

impl Run {
    /// Adds the percentiles of a histogram of microseconds.
    pub(crate) fn with_latency(mut self, micros: &Histogram<u64>) -> Self {
        self.p50_us = Some(micros.value_at_quantile(0.5));
        self.p99_us = Some(micros.value_at_quantile(0.99));
        self.p999_us = Some(micros.value_at_quantile(0.999));
        self
    }
}

/// The median run of a scene, with the range of all.
#[derive(Debug, Serialize)]
struct Row {
    scene: String,
    runs: usize,
    lowest: f64,
    highest: f64,
    #[serde(flatten)]
    median: Run,
}

/// Rows so far; printed as they come, or at the end as JSON.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, rows: Vec::new() }
    }

    /// Adds the median of `runs` by rate: percentiles and CPU are those of that very run.
    pub(crate) fn add(&mut self, scene: &str, mut runs: Vec<Run>) -> Result<(), BenchError> {
        runs.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Ok(()) };
        let (lowest, highest, count) = (first.rate, last.rate, runs.len());
        let median = runs.get(count / 2).cloned().unwrap_or_default();
        let row = Row { scene: scene.to_owned(), runs: count, lowest, highest, median };
        if !self.json {
            let mut out = std::io::stdout().lock();
            if self.rows.is_empty() {
                writeln!(out, "{}", heading()).during("printing")?;
            }
            writeln!(out, "{}", line(&row)).during("printing")?;
        }
        self.rows.push(row);
        Ok(())
    }

    /// Prints the JSON document if that was asked for.
    pub(crate) fn finish(self) -> Result<(), BenchError> {
        if self.json {
            let text = serde_json::to_string_pretty(&self.rows).unwrap_or_default();
            writeln!(std::io::stdout().lock(), "{text}").during("printing")?;
        }
        Ok(())
    }
}

fn heading() -> String {
    format!(
        "{:<38} {:>12} {:>25} {:>9} {:>9} {:>9} {:>9}",
        "scene (median of runs)", "events/s", "range", "p50 ms", "p99 ms", "p99.9 ms", "CPU us"
    )
}

fn line(row: &Row) -> String {
    let median = &row.median;
    let millis =
        |micros: Option<u64>| micros.map_or("-".to_owned(), |us| format!("{:.2}", us as f64 / 1e3));
    format!(
        "{:<38} {:>12} {:>25} {:>9} {:>9} {:>9} {:>9}{}{}",
        row.scene,
        rate(median.rate),
        if row.runs > 1 {
            format!("{} - {}", rate(row.lowest), rate(row.highest))
        } else {
            "-".to_owned()
        },
        millis(median.p50_us),
        millis(median.p99_us),
        millis(median.p999_us),
        median.cpu_us.map_or("-".to_owned(), |us| format!("{us:.2}")),
        if median.note.is_empty() { "" } else { "  " },
        median.note,
    )
}

/// Events a second; a scene without events has none.
fn rate(number: f64) -> String {
    if number > 0.0 { grouped(number) } else { "-".to_owned() }
}

/// Thousands apart, for people.
fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_run_is_the_one_shown() {
        let mut report = Report::new(true);
        let runs =
            [30.0, 10.0, 20.0].map(|rate| Run { rate, note: format!("{rate}"), ..Run::default() });
        report.add("x", runs.to_vec()).unwrap();
        let row = report.rows.first().unwrap();
        assert_eq!((row.median.note.as_str(), row.lowest, row.highest), ("20", 10.0, 30.0));
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(grouped(123.0), "123");
    }
}
