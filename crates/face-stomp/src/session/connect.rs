//! CONNECT: version, login, client id, heart-beats.

use std::borrow::Cow;
use std::sync::Arc;

use outflow_auth::Presented;
use outflow_hub::destination::ClientIdTaken;
use outflow_model::ErrorCode;

use super::promise::Promise;
use super::{Opening, Outbox, Outcomes, Session, Step, Work};
use crate::error::Failure;
use crate::wire::{Frame, Version};

/// The longest client id.
const MAX_CLIENT_BYTES: usize = 255;

impl Session {
    /// Checks a CONNECT or STOMP frame. What is wrong with it ends the connection (rule 11), but for
    /// a second one.
    pub(super) fn connect(&self, frame: &Frame<'_>) -> Outcomes {
        if self.is_open() {
            return Err(Failure::malformed("Already connected."));
        }
        let fatal = |code, message: String| Err(Failure::fatal(code, message));
        let offered = frame.header("accept-version");
        let Some(version) = Version::negotiate(offered.as_deref()) else {
            let offered: String = offered.unwrap_or_default().chars().take(64).collect();
            let message = format!(
                "Invalid Protocol version[{offered}], supported versions are: [1.2, 1.1, 1.0]"
            );
            return fatal(ErrorCode::NotAcceptable, message);
        };
        let beats = frame.header("heart-beat");
        let options = &self.face.options;
        let Some(promise) = Promise::agree(beats.as_deref(), options.min_heart_beat) else {
            let beats: String = beats.unwrap_or_default().chars().take(64).collect();
            return fatal(ErrorCode::Malformed, format!("Invalid heart-beat header:{beats}"));
        };
        let client = frame.header("client-id").map(Cow::into_owned).filter(|id| !id.is_empty());
        if client.as_ref().is_some_and(|id| id.len() > MAX_CLIENT_BYTES) {
            let message = format!("The client-id is longer than {MAX_CLIENT_BYTES} bytes");
            return fatal(ErrorCode::TooLarge, message);
        }
        let (user, password) = (frame.header("login"), frame.header("passcode"));
        let (user, password) = (user.unwrap_or_default(), password.unwrap_or_default());
        let presented = Presented::Login { user: &user, password: &password };
        let Some(grant) = self.face.auth.authenticate(&presented) else {
            let user: String = user.chars().take(64).collect();
            let message = format!("User name [{user}] or password is invalid.");
            return fatal(ErrorCode::Unauthenticated, message);
        };
        // A receipt of CONNECT is what ActiveMQ calls a request (rule 10).
        let request = frame.header("request-id").or_else(|| frame.header("receipt"));
        let request = request.map(Cow::into_owned);
        let user = user.into_owned();
        let opening = Opening { grant: Arc::new(grant), version, promise, client, user, request };
        Ok(Step::Then(Work::Open(Box::new(opening))))
    }

    /// Answers CONNECT.
    pub(super) fn opening(
        &mut self,
        opening: Box<Opening>,
        taken: Option<ClientIdTaken>,
        out: &mut Outbox,
    ) -> Step {
        if let Some(taken) = taken {
            let client = opening.client.as_deref().unwrap_or_default();
            let message = format!("Client: {client} already connected: {taken}");
            return self.fail(&Failure::fatal(ErrorCode::Conflict, message), None, out);
        }
        self.transactions.count_in(self.face.pool.share(Some(&opening.grant)));
        self.version = opening.version;
        self.decoder.speak(opening.version);
        self.decoder.bound(self.face.options.frame);
        let version = opening.version.as_str();
        self.face.metrics.connected.get_or_create(&[("version", version)]).inc();
        tracing::info!(
            session = self.name,
            credential = %opening.grant.credential,
            client = opening.client.as_deref(),
            version,
            "logged in"
        );
        let (server, client) = (opening.promise.server, opening.promise.client);
        let mut frame = out.begin(self.version, "CONNECTED");
        frame.plain("server", concat!("Outflow/", env!("CARGO_PKG_VERSION")));
        frame.plain("heart-beat", format_args!("{},{}", server.as_millis(), client.as_millis()));
        frame.plain("session", opening.client.as_deref().unwrap_or(&self.name));
        frame.plain("version", version);
        if let Some(request) = &opening.request {
            frame.plain("response-id", request).plain("receipt-id", request);
        }
        frame.end();
        let rhythm = opening.promise.rhythm(self.face.options.heart_beat_grace);
        self.opened = Some(opening);
        Step::Then(Work::Keep(rhythm))
    }
}
