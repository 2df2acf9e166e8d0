//! The server under test: one started for the purpose on a fresh data folder, or one that is given.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::command::Options;
use crate::gauge::Gauge;
use crate::stomp::Broker;
use crate::wire::Connection;
use crate::{BenchError, During as _};

/// The project that `outflow dev` makes.
const PROJECT: &str = "sample_connection";
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Where to send requests, and what they cost there.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) server: SocketAddr,
    /// Where it speaks STOMP; unknown of a server that is given.
    stomp: Option<SocketAddr>,
    /// Where it tells its metrics; unknown of a server that is given.
    admin: Option<SocketAddr>,
    pub(crate) gauge: Gauge,
    token: String,
    streams: Cell<u32>,
    /// Ends with this value.
    _process: Option<Child>,
    _folder: Option<tempfile::TempDir>,
}

/// How a reader wants its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Gzip,
}

impl Encoding {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
        }
    }
}

/// The part that is shown once.
#[derive(Deserialize)]
struct Issued {
    secret: String,
}

/// What was made, by its id.
#[derive(Deserialize)]
struct Made {
    id: String,
}

#[derive(Deserialize)]
struct IssuedToken {
    access_token: String,
}

#[derive(Deserialize)]
struct Ready {
    http: SocketAddr,
    admin: SocketAddr,
    stomp: Option<SocketAddr>,
}

impl Target {
    /// Starts a server, or takes the one given.
    pub(crate) async fn prepare(options: &Options) -> Result<Self, BenchError> {
        raise_file_limit()?;
        let (Some(server), Some(token_file)) = (&options.server, &options.token_file) else {
            return Self::start(options).await;
        };
        let server = tokio::net::lookup_host(server).await.during("looking up the server")?.next();
        Ok(Self {
            server: server
                .ok_or_else(|| BenchError::Target("its name has no address".to_owned()))?,
            stomp: None,
            admin: None,
            gauge: Gauge::new(options.pid),
            token: read_token(token_file)?,
            streams: Cell::new(0),
            _process: None,
            _folder: None,
        })
    }

    async fn start(options: &Options) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().during("making a data folder")?;
        let data = options.data_dir.clone().unwrap_or_else(|| folder.path().join("data"));
        let binary = std::env::current_exe().during("finding this program")?;
        let mut process = Command::new(binary)
            .args([
                "dev",
                "--json",
                "--rate",
                "0",
                "--http",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
                "--stomp",
                "127.0.0.1:0",
                "--openwire",
                "127.0.0.1:0",
                // The limit of a project would be what is measured.
                "--set",
                "ingest.requests_per_second=10000000",
                "--data-dir",
            ])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .during("starting the server")?;
        let stdout = process
            .stdout
            .take()
            .ok_or_else(|| BenchError::Target("it has no output".to_owned()))?;
        let mut lines = BufReader::new(stdout).lines();
        let ready = tokio::time::timeout(READY_WITHIN, async {
            while let Some(line) = lines.next_line().await.during("waiting for the server")? {
                if let Ok(ready) = serde_json::from_str::<Ready>(&line) {
                    return Ok(ready);
                }
            }
            Err(BenchError::Target("it ended before it was ready".to_owned()))
        });
        let ready =
            ready.await.map_err(|_| BenchError::Target("it did not get ready".to_owned()))??;
        // Keeps the pipe empty, so that the server never waits for its reader.
        tokio::task::spawn_local(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            server: ready.http,
            stomp: ready.stomp,
            admin: Some(ready.admin),
            gauge: Gauge::new(process.id()),
            token: read_token(&data.join("operator-token"))?,
            streams: Cell::new(0),
            _process: Some(process),
            _folder: Some(folder),
        })
    }

    /// How many tasks it has; `None`: it does not tell.
    pub(crate) async fn tasks(&self) -> Result<Option<u64>, BenchError> {
        let Some(admin) = self.admin else { return Ok(None) };
        let mut connection = Connection::open(admin).await?;
        let request = b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n";
        let answer = connection.exchange(request).await?;
        let text = String::from_utf8_lossy(answer.body);
        let value = text.lines().find_map(|line| line.strip_prefix("outflow_tasks "));
        Ok(value.and_then(|value| value.trim().parse().ok()))
    }

    /// Its STOMP door, with a key made for the purpose.
    pub(crate) async fn broker(&self) -> Result<Broker, BenchError> {
        let address = self.stomp.ok_or_else(|| {
            BenchError::Target("give the STOMP listener with --broker".to_owned())
        })?;
        let key = self.project_key().await?;
        Ok(Broker::new(address, PROJECT.to_owned(), key, self.gauge))
    }

    /// A key of the project that reads and publishes, made for the purpose.
    pub(crate) async fn project_key(&self) -> Result<String, BenchError> {
        let body = r#"{"name":"bench","actions":["publish","read"]}"#;
        let request = self.project_request("POST", "/keys", body);
        let mut connection = Connection::open(self.server).await?;
        let answer = connection.exchange(&request).await?;
        let issued: Issued = serde_json::from_slice(answer.body)
            .map_err(|_| BenchError::Answer(String::from_utf8_lossy(answer.body).into_owned()))?;
        Ok(issued.secret)
    }

    /// An access token for ingest streams, of a key made for the purpose.
    pub(crate) async fn ingest_token(&self) -> Result<String, BenchError> {
        let body = r#"{"name":"bench","scopes":["streaming-ingest:write"]}"#;
        let key: Made = self.make("/api-keys", body).await?;
        let issued: IssuedToken =
            self.make(&format!("/api-keys/{}/tokens", key.id), r#"{"days":1}"#).await?;
        Ok(issued.access_token)
    }

    /// Makes an empty ingest stream for JSON and returns its id.
    pub(crate) async fn make_ingest_stream(&self) -> Result<String, BenchError> {
        let made: Made = self.make("/ingest-streams", "{}").await?;
        Ok(made.id)
    }

    /// Makes an empty keyed stream of accounts and returns its name.
    pub(crate) async fn make_keyed_stream(&self) -> Result<String, BenchError> {
        self.streams.set(self.streams.get() + 1);
        let name = format!("bench-{}-{}", std::process::id(), self.streams.get());
        let body =
            format!(r#"{{"name":"{name}","entities":[{{"name":"Account","keys":[["no"]]}}]}}"#);
        self.expect_success(&self.request("POST", "", &body)).await?;
        Ok(name)
    }

    /// Starts to extract a keyed stream and returns the job's id.
    pub(crate) async fn start_extraction(&self, stream: &str) -> Result<String, BenchError> {
        let job: Value = self.make("/extractions", &format!(r#"{{"stream":"{stream}"}}"#)).await?;
        // A number or a string: it is part of an address only.
        let id = job.get("id").map(|id| id.to_string().trim_matches('"').to_owned());
        id.ok_or_else(|| BenchError::Answer(job.to_string()))
    }

    /// A whole request for how a job stands.
    pub(crate) fn extraction_request(&self, job: &str) -> Vec<u8> {
        self.project_request("GET", &format!("/extractions/{job}"), "")
    }

    async fn make<T: DeserializeOwned>(&self, path: &str, body: &str) -> Result<T, BenchError> {
        let mut connection = Connection::open(self.server).await?;
        let answer = connection.exchange(&self.project_request("POST", path, body)).await?;
        serde_json::from_slice(answer.body)
            .map_err(|_| BenchError::Answer(String::from_utf8_lossy(answer.body).into_owned()))
    }

    /// A whole request that sends one payload to an ingest stream.
    pub(crate) fn ingest_request(
        &self,
        stream: &str,
        token: &str,
        encoding: Encoding,
        payload: &[u8],
    ) -> Vec<u8> {
        let coding = match encoding {
            Encoding::Plain => "",
            Encoding::Gzip => "Content-Encoding: gzip\r\n",
        };
        let head = format!(
            "POST /stream/v0/data/{stream} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
             X-Amperity-Tenant: {PROJECT}\r\nAuthorization: Bearer {token}\r\n{coding}Content-Length: {}\r\n\r\n",
            payload.len()
        );
        [head.as_bytes(), payload].concat()
    }

    /// Makes an empty stream and returns its name.
    pub(crate) async fn make_stream(&self) -> Result<String, BenchError> {
        self.make_named("").await
    }

    /// The same as a topic of a company.
    pub(crate) async fn make_stream_of(&self, company: &str) -> Result<String, BenchError> {
        self.make_named(&format!("{company}/")).await
    }

    async fn make_named(&self, prefix: &str) -> Result<String, BenchError> {
        self.streams.set(self.streams.get() + 1);
        let name = format!("{prefix}bench-{}-{}", std::process::id(), self.streams.get());
        let request = self.request("POST", "", &format!(r#"{{"name":"{name}"}}"#));
        self.expect_success(&request).await?;
        Ok(name)
    }

    /// Makes an integration whose webhook gets a stream's events, and returns its name.
    pub(crate) async fn make_webhook(
        &self,
        stream: &str,
        url: &str,
        batch: u64,
        start: &str,
    ) -> Result<String, BenchError> {
        self.streams.set(self.streams.get() + 1);
        let name = format!("bench-{}-{}", std::process::id(), self.streams.get());
        let body = format!(r#"{{"id":"{name}"}}"#);
        self.expect_success(&self.project_request("POST", "/integrations", &body)).await?;
        let body =
            format!(r#"{{"url":"{url}","stream":"{stream}","batch":{batch},"start":"{start}"}}"#);
        let path = format!("/integrations/{name}/webhook");
        self.expect_success(&self.project_request("PUT", &path, &body)).await?;
        Ok(name)
    }

    /// Takes an integration away, and its webhook.
    pub(crate) async fn drop_integration(&self, name: &str) -> Result<(), BenchError> {
        let path = format!("/integrations/{name}");
        self.expect_success(&self.project_request("DELETE", &path, "")).await
    }

    /// Gives the disk back.
    pub(crate) async fn drop_stream(&self, name: &str) -> Result<(), BenchError> {
        // Of an ingest stream, what has not landed goes as well.
        self.expect_success(&self.request("DELETE", &format!("/{name}?force=true"), "")).await
    }

    /// A whole request that publishes `body`, ready to be sent any number of times.
    pub(crate) fn publish_request(&self, stream: &str, body: &str) -> Vec<u8> {
        self.request("POST", &format!("/{stream}/events?summary=true"), body)
    }

    /// A whole request for a stream of events; the server closes the connection after its end.
    pub(crate) fn read_request(&self, stream: &str, query: &str, encoding: Encoding) -> Vec<u8> {
        let accepted = if encoding == Encoding::Gzip { "gzip" } else { "identity" };
        format!(
            "GET /v1/projects/{PROJECT}/streams/{stream}/events?{query} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\
             Authorization: Bearer {}\r\nAccept-Encoding: {accepted}\r\n\r\n",
            self.token
        )
        .into_bytes()
    }

    pub(crate) fn sse_request(&self, stream: &str, query: &str) -> Vec<u8> {
        self.listen_request(&format!("streams/{stream}/sse?{query}"))
    }

    /// A whole request for what extractions send.
    pub(crate) fn load_request(&self, query: &str) -> Vec<u8> {
        self.listen_request(&format!("feed/load?{query}"))
    }

    fn listen_request(&self, path: &str) -> Vec<u8> {
        format!(
            "GET /v1/projects/{PROJECT}/{path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\
             Authorization: Bearer {}\r\n\r\n",
            self.token
        )
        .into_bytes()
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        self.project_request(method, &format!("/streams{path}"), body)
    }

    fn project_request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        format!(
            "{method} /v1/projects/{PROJECT}{path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        )
        .into_bytes()
    }

    async fn expect_success(&self, request: &[u8]) -> Result<(), BenchError> {
        let mut connection = Connection::open(self.server).await?;
        let answer = connection.exchange(request).await?;
        if answer.status / 100 == 2 {
            return Ok(());
        }
        Err(BenchError::Answer(format!(
            "{}: {}",
            answer.status,
            String::from_utf8_lossy(answer.body)
        )))
    }
}

fn read_token(file: &Path) -> Result<String, BenchError> {
    Ok(std::fs::read_to_string(file).during("reading the operator token")?.trim().to_owned())
}

/// Ten thousand readers need as many files, here and in the server, which inherits the limit.
fn raise_file_limit() -> Result<(), BenchError> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .map_err(std::io::Error::from)
        .during("raising the limit of open files")
}
