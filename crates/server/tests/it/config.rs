//! Configuration as an operator meets it.

use crate::outflow::outflow;

#[test]
fn print_gives_a_file_that_check_accepts() {
    let printed = outflow(&["config", "print"], &[]);
    assert_eq!(printed.code, 0);
    assert!(printed.stdout.contains("# Where all HTTP faces"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &printed.stdout).unwrap();
    let checked = outflow(&["config", "check", file.path().to_str().unwrap()], &[]);
    assert_eq!((checked.code, checked.stdout.as_str()), (0, ""), "{}", checked.stderr);
}

#[test]
fn effective_values_name_their_source() {
    let arguments = ["config", "print", "--effective", "--set", "log.level=warn"];
    let printed = outflow(&arguments, &[("OUTFLOW__HTTP__IDLE_TIMEOUT_MS", "5000")]);
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    assert!(
        printed.stdout.contains("idle_timeout_ms = 5000  # OUTFLOW__HTTP__IDLE_TIMEOUT_MS\n"),
        "{}",
        printed.stdout
    );
    assert!(printed.stdout.contains("level = \"warn\"  # flag\n"));
    assert!(printed.stdout.contains("listen = \"127.0.0.1:8080\"\n"));
}

#[test]
fn what_is_wrong_is_told_at_once_with_exit_code_2() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "[http]\nlisten = \"here\"\nalow_plaintext = true\n[admin]\nlisten = 3\n",
    )
    .unwrap();
    let path = file.path().to_str().unwrap();
    let checked = outflow(&["config", "check", path], &[("OUTFLOW__LOG__FORMATS", "json")]);
    assert_eq!(checked.code, 2);
    for part in [
        "did you mean `http.allow_plaintext`?",
        "admin.listen: must be a string",
        "OUTFLOW__LOG__FORMATS",
        "`log.format`?",
    ] {
        assert!(checked.stderr.contains(part), "no `{part}` in {}", checked.stderr);
    }
    let served = outflow(&["serve", "--config", path], &[]);
    assert_eq!(served.code, 2, "{}", served.stderr);
    let served = outflow(&["serve", "--http", "0.0.0.0:0"], &[]);
    assert_eq!(served.code, 2);
    assert!(served.stderr.contains("allow_plaintext"), "{}", served.stderr);
    let missing = outflow(&["config", "check", "/nonexistent/outflow.toml"], &[]);
    assert_eq!(missing.code, 2);
    let level = outflow(&["serve", "--set", "log.format=xml"], &[]);
    assert_eq!(level.code, 2);
    assert!(level.stderr.contains("log.format"), "{}", level.stderr);
    for target in ["ftp://bucket/prefix", "s3:///prefix", "s3://"] {
        let landing = outflow(&["serve", "--set", &format!("landing.to={target}")], &[]);
        assert_eq!(landing.code, 2, "{target}: {}", landing.stderr);
        assert!(landing.stderr.contains("s3://bucket/prefix"), "{}", landing.stderr);
    }
}

#[test]
fn certificates_that_cannot_be_used_and_a_directory_without_a_name_are_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let checked = |text: &str| {
        std::fs::write(file.path(), text).unwrap();
        outflow(&["config", "check", file.path().to_str().unwrap()], &[])
    };
    let files = "cert_file = \"/nonexistent/c.pem\"\nkey_file = \"/nonexistent/k.pem\"\n";
    let checked_files = checked(&format!("[http.tls]\n{files}[stomp.tls]\n{files}"));
    assert_eq!(checked_files.code, 2, "{}", checked_files.stderr);
    for part in ["http.tls: ", "stomp.tls: ", "/nonexistent/c.pem"] {
        assert!(checked_files.stderr.contains(part), "no `{part}` in {}", checked_files.stderr);
    }
    let nameless = checked("[data]\ndir = \"\"\n");
    assert_eq!(nameless.code, 2, "{}", nameless.stderr);
    assert!(nameless.stderr.contains("data.dir"), "{}", nameless.stderr);
}

#[test]
fn what_would_end_the_start_is_told_by_check() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "[landing]\nto = \"s3://bucket/prefix\"\ncredentials_file = \"/nonexistent/store\"\n\
                [webhook]\nca_file = \"/nonexistent/ca.pem\"\n";
    std::fs::write(file.path(), text).unwrap();
    let checked = outflow(&["config", "check", file.path().to_str().unwrap()], &[]);
    assert_eq!(checked.code, 2, "{}", checked.stderr);
    let mut parts = vec![
        "landing.credentials_file: cannot use `/nonexistent/store`",
        "webhook.ca_file: ",
        "/nonexistent/ca.pem",
    ];
    if cfg!(not(feature = "object-stores")) {
        parts.push("landing.to: this build has no object stores");
    }
    for part in parts {
        assert!(checked.stderr.contains(part), "no `{part}` in {}", checked.stderr);
    }
    // What is not used is not looked at.
    let text =
        text.replace("s3://bucket/prefix", "none").replace("ca_file", "enabled = false\nca_file");
    std::fs::write(file.path(), text).unwrap();
    let checked = outflow(&["config", "check", file.path().to_str().unwrap()], &[]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
}

#[test]
fn a_disk_that_is_too_small_for_events_is_told_and_a_file_is_no_data_directory() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    // A file system without room, on every Linux.
    std::fs::write(file.path(), "[data]\ndir = \"/proc/self/outflow\"\n").unwrap();
    let checked = outflow(&["config", "check", path], &[]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    let told = "data.dir: its disk has 0 MiB in all, fewer than the 320 MiB";
    assert!(checked.stderr.contains(told), "{}", checked.stderr);

    let served = outflow(&["serve", "--http", "127.0.0.1:0", "--data-dir", path], &[]);
    assert_eq!(served.code, 1, "{}", served.stderr);
    assert!(served.stderr.contains("not a directory"), "{}", served.stderr);
    assert!(!served.stderr.contains("chmod"), "{}", served.stderr);
}

#[test]
fn listeners_that_stand_in_one_anothers_way_are_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let checked = |text: &str| {
        std::fs::write(file.path(), text).unwrap();
        outflow(&["config", "check", file.path().to_str().unwrap()], &[])
    };
    let same = checked("[admin]\nlisten = \"127.0.0.1:8080\"\n");
    assert_eq!(same.code, 2, "{}", same.stderr);
    let told = "admin.listen: 127.0.0.1:8080 cannot be shared with http.listen, 127.0.0.1:8080";
    assert!(same.stderr.contains(told), "{}", same.stderr);
    let all = checked("[stomp]\nlisten = \"0.0.0.0:8081\"\nallow_plaintext = true\n");
    assert_eq!(all.code, 2, "{}", all.stderr);
    assert!(all.stderr.contains("shared with admin.listen"), "{}", all.stderr);
    for apart in [
        "[http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n",
        "[admin]\nlisten = \"127.0.0.2:8080\"\n",
        "[stomp]\nenabled = false\nlisten = \"127.0.0.1:8080\"\n",
    ] {
        assert_eq!(checked(apart).code, 0, "{apart}");
    }
}

#[test]
fn what_is_wrong_with_a_bucket_is_told_by_names_and_never_by_values() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "aws_secret_acess_key = \"never-to-be-seen\"\n").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let credentials = format!("landing.credentials_file={}", file.path().display());
    let data = dir.path().to_str().unwrap();
    let set = ["--set", "landing.to=s3://bucket/prefix", "--set", &credentials];
    let addresses = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data-dir", data];
    let arguments = [&["serve"][..], &addresses, &set].concat();
    let served = outflow(&arguments, &[]);
    assert_eq!(served.code, 1, "{}", served.stderr);
    let reason =
        if cfg!(feature = "object-stores") { "aws_secret_acess_key" } else { "object-stores" };
    assert!(served.stderr.contains(reason), "{}", served.stderr);
    assert!(!served.stderr.contains("never-to-be-seen"), "{}", served.stderr);
}

#[test]
fn an_address_that_is_taken_ends_the_start_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let ended = outflow(
        &[
            "dev",
            "--ephemeral",
            "--rate",
            "0",
            "--http",
            &addr,
            "--admin",
            "127.0.0.1:0",
            "--stomp",
            "127.0.0.1:0",
            "--openwire",
            "127.0.0.1:0",
        ],
        &[],
    );
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("http.listen: cannot listen on"), "{}", ended.stderr);
}

#[test]
fn help_names_the_exit_codes() {
    let help = outflow(&["serve", "--help"], &[]);
    assert!(help.stdout.contains("Exit codes:"));
    assert!(help.stdout.contains("the storage failed while serving"));
}

#[test]
fn output_that_cannot_be_written_is_a_failure_and_no_panic() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(outflow_testkit::binary().unwrap());
    let ended = command.args(["config", "print"]).stdout(full).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write the output") && !said.contains("panicked"), "{said}");
}

#[test]
fn a_level_that_is_none_is_told_by_check_and_by_serve() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[log]\nlevel = \"loud\"\n").unwrap();
    let path = file.path().to_str().unwrap();
    for arguments in [["config", "check", path].as_slice(), &["serve", "--config", path]] {
        let refused = outflow(arguments, &[]);
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains("log.level: `loud` is not a level"), "{}", refused.stderr);
    }
}

#[test]
fn a_lost_operators_token_is_made_anew_while_no_server_runs() {
    let data = outflow_testkit::directory().unwrap();
    let file = data.path().join("operator-token");
    let arguments = ["operator-token", "--data-dir", data.path().to_str().unwrap()];
    let mut made = Vec::new();
    for (more, revoked) in [(&[][..], "0 others"), (&["--revoke-others"], "1 others")] {
        let ended = outflow(&[&arguments[..], more].concat(), &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stderr.contains(revoked), "{}", ended.stderr);
        let token = std::fs::read_to_string(&file).unwrap();
        assert!(!ended.stderr.contains(token.trim()) && ended.stdout.is_empty());
        std::fs::remove_file(&file).unwrap();
        made.push(token);
    }
    assert_ne!(made[0], made[1]);
}
