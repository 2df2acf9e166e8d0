//! Arguments and help.

use clap::{CommandFactory, Parser};
use outflow_cli::ClientCommand;

#[derive(Debug, Parser)]
#[command(name = "outflow")]
pub(crate) struct Line {
    #[command(subcommand)]
    pub(crate) command: ClientCommand,
}

#[test]
fn the_command_line_is_sound_and_examples_come_before_options() {
    let mut line = Line::command();
    line.clone().debug_assert();
    for name in
        line.get_subcommands().map(|command| command.get_name().to_owned()).collect::<Vec<_>>()
    {
        let command = line.find_subcommand_mut(&name).unwrap();
        let help = command.render_long_help().to_string();
        let (examples, usage) = (help.find("Examples:"), help.find("Usage:"));
        assert!(examples.is_some() && examples < usage, "{name}: {help}");
        assert!(!help.contains("--token "), "a token is never a flag: {help}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = [
        "tail --from yesterday",
        "tail --since 1x",
        "tail --since 1h --from earliest",
        "tail --types A --filter {}",
        "tail --filter {",
        "publish --batch 0",
        "stream create a --max-bytes lots",
        "key create",
        "key create --master --can read",
        "token list",
        "tail orders --subscription a",
        "tail --subscription a --since 1h",
        "subscription set a",
        "subscription set a --max-deliveries often",
        "subscription set a --max-age 5",
        "subscription move-dead",
        "subscription move-dead --to a --limit 0",
        "user create --namespace a --consume b",
        "user delete",
        "tial",
    ];
    for line in refused {
        let words = std::iter::once("outflow").chain(line.split(' '));
        assert!(Line::try_parse_from(words).is_err(), "{line}");
    }
    let error = Line::try_parse_from(["outflow", "tial"]).unwrap_err().to_string();
    assert!(error.contains("'tail'"), "{error}");
}
