//! Somebody at a shell with the client commands, and a server of their own to use them on.

use std::process::{Output, Stdio};

use outflow_testkit::{Options, Server, directory};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::outflow::Ended;

/// A shell in an empty folder; the server's data is in its `outflow-data`, where commands look for it.
pub(crate) struct Desk {
    server: Server,
    folder: TempDir,
    project: Option<&'static str>,
}

impl Desk {
    /// Starts a server that generates `rate` events a second.
    pub(crate) async fn open(rate: u32) -> Self {
        let folder = directory().unwrap();
        let data_dir = Some(folder.path().join("outflow-data"));
        let arguments = ["--set", "landing.max_age_s=1"].map(Into::into).to_vec();
        let options = Options { rate, data_dir, arguments, ..Options::default() };
        let server = Server::start(&options).await.unwrap();
        Self { server, folder, project: None }
    }

    /// Makes a project and sets it for the commands that follow.
    pub(crate) async fn enter(&mut self, project: &'static str) {
        self.json(&format!("outflow project create {project}")).await;
        self.project = Some(project);
    }

    pub(crate) const fn server(&self) -> &Server {
        &self.server
    }

    /// Starts a line of shell, in which `outflow` is the binary.
    pub(crate) fn start(&self, line: &str) -> Child {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("outflow() {{ \"$BINARY\" \"$@\"; }}\n{line}"));
        command.current_dir(self.folder.path()).env("BINARY", outflow_testkit::binary().unwrap());
        command.env("OUTFLOW_SERVER", self.server.url(""));
        command.envs(self.project.map(|project| ("OUTFLOW_PROJECT", project)));
        for name in ["OUTFLOW_TOKEN", "OUTFLOW_TOKEN_FILE", "OUTFLOW_DATA_DIR"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true).spawn().unwrap()
    }

    /// Runs a line of shell to its end.
    pub(crate) async fn run(&self, line: &str) -> Ended {
        ended(self.start(line).wait_with_output().await.unwrap())
    }

    /// Runs a line that succeeds; gives what it printed.
    pub(crate) async fn done(&self, line: &str) -> String {
        let ended = self.run(line).await;
        assert_eq!(ended.code, 0, "{line}: {}", ended.stderr);
        ended.stdout
    }

    /// Runs a line that succeeds; gives the JSON that it prints if asked.
    pub(crate) async fn json(&self, line: &str) -> Value {
        let printed = self.done(&format!("{line} --json")).await;
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{line}: {error}: {printed}"))
    }

    /// Runs a line that fails with this exit code and prints no data; gives what it said.
    pub(crate) async fn refused(&self, line: &str, code: i32) -> String {
        let ended = self.run(line).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{line}: {}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{line}: {}", ended.stderr);
        ended.stderr
    }

    /// Changes what is called so; gives what it then is, as it is shown, too.
    pub(crate) async fn changed(&self, kind: &str, name: &str, changes: &str) -> Value {
        let changed = self.json(&format!("outflow {kind} update {name} {changes}")).await;
        assert_eq!(self.json(&format!("outflow {kind} show {name}")).await, changed);
        changed
    }

    /// Deletes what is called so, which has to be told for sure: then it is not there any more.
    pub(crate) async fn deleted(&self, kind: &str, name: &str) {
        let delete = format!("outflow {kind} delete {name}");
        let unsure = self.refused(&delete, 2).await;
        assert!(unsure.contains("add --yes"), "{unsure}");
        assert_eq!(self.done(&format!("{delete} --yes")).await, "");
        // An API key is not shown, and gives tokens as long as it is there.
        let use_it = if kind == "api-key" { "token" } else { "show" };
        self.refused(&format!("outflow {kind} {use_it} {name}"), 4).await;
    }

    /// Puts a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Reads a file of the folder.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Stops the server; the folder stays for the line that follows.
    pub(crate) async fn close(self) -> TempDir {
        let status = self.server.terminate(std::time::Duration::from_secs(20)).await.unwrap();
        assert!(status.success(), "{status}");
        self.folder
    }
}

/// How a process ended, whose output is text.
pub(crate) fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The lines of NDJSON.
pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A member that is text.
pub(crate) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no text `{member}` in {value}"))
}
