//! A reader of event streams that tells a clean end from a cut.

use std::io::Write;
use std::time::Duration;

use flate2::write::GzDecoder;
use outflow_testkit::Server;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use reqwest::{Client, Response};
use serde_json::Value;

/// The application key, token and master secret of `dev`.
pub(crate) const NAME: &str = "sample_connection";

/// A client that leaves compression to the test.
pub(crate) fn client() -> Client {
    Client::builder().no_gzip().build().unwrap()
}

/// One stream being read.
pub(crate) struct Reader {
    response: Response,
    gzip: Option<GzDecoder<Vec<u8>>>,
    text: Vec<u8>,
}

impl Reader {
    /// Opens `/api/events/` as the seed's curl line does, with `encoding` as Accept-Encoding.
    pub(crate) async fn open(server: &Server, encoding: Option<&str>, body: &'static str) -> Self {
        let mut request =
            client().post(server.url("/api/events/")).basic_auth(NAME, Some(NAME)).body(body);
        if let Some(encoding) = encoding {
            request = request.header(ACCEPT_ENCODING, encoding);
        }
        Self::of(request.send().await.unwrap())
    }

    /// Reads an answer that has come.
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        let gzip = response.headers().get(CONTENT_ENCODING).is_some_and(|value| value == "gzip");
        Self { response, gzip: gzip.then(|| GzDecoder::new(Vec::new())), text: Vec::new() }
    }

    /// Whether the server compresses.
    pub(crate) const fn is_gzip(&self) -> bool {
        self.gzip.is_some()
    }

    /// The next event; `None` after a clean end: last chunk and, with gzip, a right trailer.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.text.drain(..=end).collect();
                if line != b"\n" {
                    return Some(serde_json::from_slice(&line).unwrap());
                }
                continue;
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.response.chunk()).await;
            let chunk =
                chunk.expect("neither event nor heartbeat came").expect("the stream was cut");
            match (chunk, &mut self.gzip) {
                (Some(chunk), Some(gzip)) => {
                    gzip.write_all(&chunk).unwrap();
                    gzip.flush().unwrap();
                    self.text.append(gzip.get_mut());
                }
                (Some(chunk), None) => self.text.extend_from_slice(&chunk),
                (None, gzip) => {
                    if let Some(gzip) = gzip {
                        gzip.try_finish().expect("the gzip stream was cut");
                    }
                    assert!(self.text.is_empty(), "half a line at the end");
                    return None;
                }
            }
        }
    }

    /// All events until the clean end.
    pub(crate) async fn rest(mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}
