//! What a bench found: rows of medians, as a table or as JSON.

use std::io::{self, Stdout, Write, stdout};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::gauge::Processors;
use crate::{BenchError, During as _};

/// Below this part of the CPU time, what the host takes does not show in the figures.
const STOLEN_SHOWN: f64 = 0.02;

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
    /// Events a second that were written beside what is measured, where the scene has such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) beside: Option<f64>,
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
    /// The part of the machine's CPU time that its host gave to others, from 0 to 1.
    stolen: Option<f64>,
    #[serde(flatten)]
    median: Run,
}

/// Rows of a table, or of one JSON array, each printed when its scene has ended. The array of a
/// bench that failed has no end, so that nobody takes it for all that was asked for.
#[derive(Debug)]
pub(crate) struct Report<W = Stdout> {
    json: bool,
    rows: usize,
    /// As of the end of the scene before.
    processors: Option<Processors>,
    out: W,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, rows: 0, processors: Processors::now(), out: stdout() }
    }
}

impl<W: Write> Report<W> {
    /// Adds the median of `runs` by rate: percentiles and CPU are those of that very run.
    pub(crate) fn add(&mut self, scene: &str, runs: Vec<Run>) -> Result<(), BenchError> {
        let now = Processors::now();
        let before = std::mem::replace(&mut self.processors, now);
        let Some(mut row) = median(scene, runs) else { return Ok(()) };
        row.stolen = now.zip(before).and_then(|(now, before)| now.stolen_since(before));
        self.print(&row).during("printing")
    }

    fn print(&mut self, row: &Row) -> io::Result<()> {
        let is_first = self.rows == 0;
        self.rows += 1;
        if self.json {
            // The comma stands before a row, because nobody knows whether another one comes.
            let before = if is_first { "[\n " } else { "," };
            writeln!(self.out, "{before}{}", serde_json::to_string(row)?)?;
        } else {
            if is_first {
                writeln!(self.out, "{}", heading())?;
            }
            writeln!(self.out, "{}", line(row))?;
        }
        self.out.flush()
    }

    /// Ends the JSON array.
    pub(crate) fn finish(mut self) -> Result<(), BenchError> {
        if self.json {
            let end = if self.rows == 0 { "[]" } else { "]" };
            writeln!(self.out, "{end}").during("printing")?;
        }
        Ok(())
    }
}

/// The row of a scene; `None` when it had no runs.
fn median(scene: &str, mut runs: Vec<Run>) -> Option<Row> {
    runs.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let (lowest, highest) = (runs.first()?.rate, runs.last()?.rate);
    let median = runs.get(runs.len() / 2)?.clone();
    Some(Row { scene: scene.to_owned(), runs: runs.len(), lowest, highest, stolen: None, median })
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
        "{:<38} {:>12} {:>25} {:>9} {:>9} {:>9} {:>9}{}{}{}",
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
        warning(row.stolen),
    )
}

/// Word that a scene's figures are too low, because its processors were not its own.
fn warning(stolen: Option<f64>) -> String {
    stolen.filter(|&part| part > STOLEN_SHOWN).map_or_else(String::new, |part| {
        format!("  {:.0} % of the CPU time was taken by the host", part * 100.0)
    })
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

    fn run(rate: f64) -> Run {
        Run { rate, note: format!("{rate}"), ..Run::default() }
    }

    #[test]
    fn the_median_run_is_the_one_shown() {
        let row = median("x", [30.0, 10.0, 20.0].map(run).to_vec()).unwrap();
        assert_eq!((row.median.note.as_str(), row.lowest, row.highest), ("20", 10.0, 30.0));
        assert!(median("x", Vec::new()).is_none());
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(grouped(123.0), "123");
    }

    #[test]
    fn time_that_the_host_took_is_told_when_it_counts() {
        let mut row = median("x", vec![run(1.0)]).unwrap();
        for (stolen, told) in [(None, false), (Some(0.019), false), (Some(0.16), true)] {
            row.stolen = stolen;
            assert_eq!(line(&row).ends_with("16 % of the CPU time was taken by the host"), told);
        }
    }

    #[test]
    fn each_row_is_printed_when_its_scene_has_ended() {
        for count in 0..4 {
            let mut printed = Vec::new();
            let mut report = Report { json: true, rows: 0, processors: None, out: &mut printed };
            for row in 1..=count {
                report.add("x", vec![run(1.0)]).unwrap();
                assert_eq!(report.out.iter().filter(|&&byte| byte == b'\n').count(), row + 1);
            }
            report.finish().unwrap();
            let all: Vec<serde_json::Value> = serde_json::from_slice(&printed).unwrap();
            assert_eq!(all.len(), count);
        }
    }
}
