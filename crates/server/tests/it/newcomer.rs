//! `outflow dev` as a newcomer meets it: with its events, and every line that it prints to be pasted
//! into a shell pasted into one.

use std::process::Stdio;
use std::time::Duration;

use outflow_testkit::directory;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::desk::{ended, lines, text};
use crate::outflow::Ended;

/// Longest wait for what a newcomer would wait for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `outflow dev` and what it said.
struct Newcomer {
    dev: Child,
    said: String,
    folder: TempDir,
}

impl Newcomer {
    /// Starts it as README does, but for the ports.
    async fn start() -> Self {
        let folder = directory().unwrap();
        let mut command = Command::new(outflow_testkit::binary().unwrap());
        command.arg("dev").current_dir(folder.path());
        for listener in ["--http", "--admin", "--stomp", "--openwire"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut dev = command.kill_on_drop(true).spawn().unwrap();
        let mut log = BufReader::new(dev.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let ready = async {
            while !said.contains("stop with Ctrl-C") {
                said.push_str(&log.next_line().await.unwrap().expect("it became ready"));
                said.push('\n');
            }
        };
        timeout(PATIENCE, ready).await.expect("it became ready");
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self { dev, said, folder }
    }

    /// The lines to paste under a heading that begins so.
    fn section(&self, heading: &str) -> String {
        let lines = self.said.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
        let lines = lines.take_while(|line| line.starts_with("  "));
        let text: Vec<_> = lines.map(str::trim_start).collect();
        assert!(!text.is_empty(), "nothing under `{heading}`: {}", self.said);
        text.join("\n")
    }

    /// Pastes lines into a shell, in which `outflow` is the binary.
    fn paste(&self, lines: &str) -> Command {
        let mut command = Command::new("sh");
        let binary = outflow_testkit::binary().unwrap();
        command.arg("-c").arg(format!("outflow() {{ \"$BINARY\" \"$@\"; }}\n{lines}"));
        command.current_dir(self.folder.path()).env("BINARY", binary);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    /// Pastes lines that end by themselves.
    async fn paste_and_wait(&self, lines: &str) -> Ended {
        let output = timeout(PATIENCE, self.paste(lines).output()).await;
        ended(output.unwrap_or_else(|_| panic!("no end of: {lines}")).unwrap())
    }

    /// Pastes a line that reads without an end, and another before it; gives the first lines that
    /// are not blank.
    async fn paste_and_look(&self, before: &str, line: &str, count: usize) -> Vec<String> {
        // In the shell's own process, which can be killed; it has no functions then.
        let line = line.replace("outflow ", "\"$BINARY\" ");
        let mut reader = self.paste(&format!("{before}\nexec {line}")).spawn().unwrap();
        let mut printed = BufReader::new(reader.stdout.take().unwrap()).lines();
        let mut seen = Vec::new();
        let looking = async {
            while seen.len() < count {
                let next = printed.next_line().await.unwrap();
                let next = next.unwrap_or_else(|| panic!("`{line}` ended after {seen:?}"));
                seen.extend((!next.is_empty()).then_some(next));
            }
        };
        timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("`{line}` fell silent"));
        reader.kill().await.unwrap();
        seen
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_the_events_of_the_feed_and_of_the_billing() {
    let newcomer = Newcomer::start().await;
    assert!(newcomer.said.contains("(50 generated events a second, kept in ./outflow-data)"));
    let airship = newcomer.section("curl").replace("\\\n", "");
    assert!(airship.contains("-H \"Accept: application/vnd.urbanairship+x-ndjson; version=3;\""));
    for event in newcomer.paste_and_look("", &airship, 20).await {
        let event: Value = serde_json::from_str(&event).unwrap();
        assert!(event["type"].is_string() && event["offset"].is_string(), "{event}");
    }
    let feeds = newcomer.section("Server-sent events");
    // The last is for a client that is installed where it is pasted: `interop/python` does.
    let [changes, load, _python] = feeds.lines().collect::<Vec<_>>().try_into().unwrap();
    // From now on, about one a second, of four lines each.
    let seen = newcomer.paste_and_look("", changes, 4 * 3).await;
    let told =
        |lines: &[String], text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert!(told(&seen, "data:{\"ref\":{\"type\":") >= 2, "{seen:?}");
    // The first load is there already, accounts before what depends on them.
    let from_the_beginning = load.replace("/feed/load?", "/feed/load?from=earliest&");
    let seen = newcomer.paste_and_look("", &from_the_beginning, 20).await;
    assert!(told(&seen, "\"type\":\"Account\"") >= 2, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_printed_for_senders_and_mailboxes_works() {
    let newcomer = Newcomer::start().await;
    let upstream = newcomer.section("Streaming ingest");
    assert_eq!(upstream.matches("curl -XPOST").count(), 2);
    let told = "curl() { command curl -sS -o answer -w '%{http_code} ' \"$@\"; }";
    let sent = newcomer.paste_and_wait(&format!("{told}\n{upstream}")).await;
    assert_eq!((sent.code, sent.stdout.as_str()), (0, "202 202 "), "{}", sent.stderr);

    let calls = newcomer.section("Mailbox");
    let [call, register, subscribe, peek, receive, confirm] =
        calls.lines().collect::<Vec<_>>().try_into().unwrap();
    let ask = async |line: &str| {
        let answer = newcomer.paste_and_wait(&format!("{call}\n{line}")).await;
        serde_json::from_str::<Value>(&answer.stdout)
            .unwrap_or_else(|error| panic!("{line}: {error}: {}", answer.stdout))
    };
    ask(register).await;
    assert_eq!(ask(subscribe).await["Topic"], "INVOICES");
    let next = ask(peek).await;
    let locked = ask(&receive.replace("<NextMessageId>", text(&next, "NextMessageId"))).await;
    assert_eq!(locked["CompanyCode"], "AA");
    let confirm = confirm.replace("<MessageId>", text(&locked, "MessageId"));
    let confirmed = ask(&confirm.replace("<LockId>", text(&locked, "LockId"))).await;
    assert_eq!(confirmed["MessageId"], locked["MessageId"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_printed_for_outflows_own_client_works() {
    let newcomer = Newcomer::start().await;
    let own = newcomer.section("Outflow's own client");
    let all: Vec<_> = own.lines().collect();
    let [export, tail, publish, listen, users, webhook, test, attempts] = all.try_into().unwrap();
    let published = newcomer.paste_and_wait(&format!("{export}\n{publish}")).await;
    assert!(published.stdout.starts_with("published 1 events"), "{}", published.stderr);
    for tail in [tail, attempts] {
        assert!(tail.ends_with(" --from earliest"), "{tail}");
    }
    let found = newcomer.paste_and_wait(&format!("{export}\n{tail} --count 5")).await;
    assert_eq!(lines(&found.stdout).len(), 5, "{}", found.stderr);
    // Nobody answers where events are forwarded to, which is said of each.
    let forwarded = newcomer.paste_and_look(export, listen, 3).await;
    assert!(forwarded[2].starts_with("--> "), "{forwarded:?}");
    let users = newcomer.paste_and_wait(&format!("{export}\n{users}")).await;
    assert!(users.stdout.contains("12345"), "{}{}", users.stdout, users.stderr);
    // Nobody listens where the webhook goes, which its test then says and is listed.
    let told = newcomer.paste_and_wait(&format!("{export}\n{webhook} && {test}")).await;
    assert!(
        told.stdout.contains("secret  whsec_") || told.stdout.contains("whsec_"),
        "{}",
        told.stderr
    );
    assert!(told.stderr.contains("did not take it"), "{}", told.stderr);
    // Attempts are told of once there was one.
    let listed = async {
        loop {
            let listed = newcomer.paste_and_wait(&format!("{export}\n{attempts} --count 1")).await;
            if listed.code == 0 {
                return lines(&listed.stdout).len();
            }
            assert_eq!(listed.code, 4, "{}", listed.stderr);
        }
    };
    assert_eq!(timeout(PATIENCE, listed).await.expect("the generated events are tried"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_readers_whole_and_standard_output_is_for_data() {
    let mut newcomer = Newcomer::start().await;
    let airship = newcomer.section("curl").replace("\\\n", "");
    let mut reader = newcomer.paste(&format!("exec {airship}")).spawn().unwrap();
    let mut printed = BufReader::new(reader.stdout.take().unwrap());
    let mut first = String::new();
    timeout(PATIENCE, printed.read_line(&mut first)).await.unwrap().unwrap();
    let id = newcomer.dev.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().await.unwrap().success());
    // Nothing more may have come before the end.
    let mut all = first;
    timeout(PATIENCE, printed.read_to_string(&mut all)).await.unwrap().unwrap();
    assert!(all.ends_with('\n'), "the last line is whole");
    let reader = timeout(PATIENCE, reader.wait()).await.unwrap().unwrap();
    assert!(reader.success(), "curl found the end clean: {reader}");
    let dev = timeout(PATIENCE, newcomer.dev.wait()).await.unwrap().unwrap();
    assert_eq!(dev.code(), Some(0));
    let mut data = String::new();
    newcomer.dev.stdout.take().unwrap().read_to_string(&mut data).await.unwrap();
    assert_eq!(data, "");
}
