//! `outflow verify`: reads everything in a data directory that no server has open, and says
//! whether it is sound. Changes nothing.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use outflow_engine_local::verify::{Progress, Report, verify};
use serde_json::{Value, json};

use crate::check;
use crate::exit::Exit;

const HELP: &str = "\
Exit codes:
  0  sound
  1  damaged, or it could not be checked: in use, newer than this version, not a data directory
  2  the command line was wrong";

/// Options of `outflow verify`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct VerifyArgs {
    /// The data directory.
    #[arg(long, value_name = "DIR", env = "OUTFLOW__DATA__DIR", default_value = "./outflow-data")]
    data_dir: PathBuf,
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
#[expect(clippy::print_stderr, reason = "messages on stderr")]
pub(crate) fn run(args: &VerifyArgs) -> Exit {
    if !args.data_dir.is_dir() {
        eprintln!("outflow: there is no directory `{}`", args.data_dir.display());
        return Exit::Failed;
    }
    // Hides itself where stderr is not a terminal.
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
    {
        bar.set_style(style);
    }
    let mut progress = |at: Progress| {
        bar.set_length(at.total);
        bar.set_position(at.done);
    };
    let checked = verify(&args.data_dir, &mut progress);
    bar.finish_and_clear();
    let report = match checked {
        Ok(report) => report,
        Err(error) => {
            eprintln!("outflow: cannot check `{}`: {error}", args.data_dir.display());
            return Exit::Failed;
        }
    };
    if report.journal_files == 0 && report.segments == 0 && report.is_clean() {
        eprintln!("outflow: `{}` holds no data of outflow", args.data_dir.display());
        return Exit::Failed;
    }
    let text = if args.json { format!("{}\n", as_json(&report)) } else { as_text(&report) };
    let exit = if report.is_clean() { Exit::Clean } else { Exit::Failed };
    check::print(&text, exit)
}

fn events(report: &Report) -> u64 {
    report.streams.values().map(|stream| stream.events).sum()
}

fn as_json(report: &Report) -> Value {
    let stream =
        |(id, stream): (&outflow_model::StreamId, &outflow_engine_local::verify::StreamReport)| {
            json!({
                "stream": id.to_string(),
                "first": stream.first.to_string(),
                "last": stream.last.to_string(),
                "events": stream.events,
                "bytes": stream.bytes,
                "gaps": stream.gaps,
            })
        };
    json!({
        "sound": report.is_clean(),
        "events": events(report),
        "streams": report.streams.iter().map(stream).collect::<Vec<_>>(),
        "segments": report.segments,
        "blocks": report.blocks,
        "journal_files": report.journal_files,
        "commits": report.commits,
        "unfinished_segments": report.unfinished,
        "damage": report.damage,
        "quarantined": report.quarantined,
    })
}

fn as_text(report: &Report) -> String {
    let mut text = format!(
        "{} events of {} streams, retained or awaiting reuse, in {} segments ({} blocks) and {} journal files ({} commits)\n",
        events(report),
        report.streams.len(),
        report.segments,
        report.blocks,
        report.journal_files,
        report.commits,
    );
    for damage in &report.damage {
        text.push_str(&format!("damaged: {damage}\n"));
    }
    for file in &report.quarantined {
        text.push_str(&format!("set aside because of damage: quarantine/{file}\n"));
    }
    text.push_str(if report.is_clean() { "sound\n" } else { "not sound\n" });
    text
}
