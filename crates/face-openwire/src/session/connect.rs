//! WireFormatInfo and ConnectionInfo: what is spoken, and who speaks (reference `activemq.md` c1,
//! c4 Connect).

use std::sync::Arc;
use std::time::Duration;

use outflow_auth::Presented;
use outflow_broker::{self as broker, About, Rhythm};
use outflow_hub::destination::ClientIdTaken;
use outflow_model::{Action, ErrorCode, Grant};

use super::bound::MAX_ID_BYTES;
use super::{Asked, Outbox, Outcomes, READS_ONLY, Seat, Session, Step, Work};
use crate::error::Failure;
use crate::wire::{
    BrokerId, BrokerInfo, Command, ConnectionControl, ConnectionInfo, KeepAliveInfo, Offer,
    VERSION_MAX, WireFormatInfo, WireStr,
};

/// How many values each side remembers of those the other repeats.
const CACHE_SIZE: u16 = 1024;
/// When a client first looks whether something came, in milliseconds.
const INITIAL_DELAY_MS: u64 = 10_000;

/// The shortest duration of inactivity that is held to.
const LEAST: Duration = Duration::from_millis(100);

/// What both sides are held to that agreed on a duration; zero: nothing (reference `activemq.md` c1,
/// Keep-alive).
///
/// A client looks whether something came once in each duration, and writes as rarely as once in it:
/// so the server writes three times in one, and gives the client two.
fn rhythm(inactivity: Duration) -> Rhythm {
    let inactivity = (!inactivity.is_zero()).then(|| inactivity.max(LEAST));
    Rhythm { beat: inactivity.map(|one| one / 3), silence: inactivity.map(|one| one * 2) }
}

/// A login that was right.
#[derive(Debug)]
pub struct Opening {
    /// What it may do.
    pub grant: Arc<Grant>,
    /// The connection's id, which another connection with it has given up.
    pub connection: WireStr,
    /// The client's own id, which no other connection of its credential may have.
    pub client: String,
    /// That the connection has this id.
    pub(super) seat: Seat,
    /// Whether its client has lost one before, and sends again what was not answered.
    pub(super) is_again: bool,
    /// Whether it takes a ConnectionControl.
    manageable: bool,
    /// Who is answered.
    asked: Asked,
}

impl broker::Opening for Opening {
    fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    fn client(&self) -> Option<&str> {
        Some(&self.client)
    }

    fn is_free(&self) -> impl Future<Output = ()> + Send {
        self.seat.free()
    }
}

impl Session {
    /// What the server can speak; the first frame of a connection.
    pub(super) fn say_hello(&self, out: &mut Outbox) {
        match self.offer().to_info() {
            Ok(info) => out.send(&Command::WireFormatInfo(info)),
            Err(error) => tracing::error!(%error, "the server's offer could not be written"),
        }
    }

    fn offer(&self) -> Offer {
        let options = &self.face.options;
        Offer {
            version: VERSION_MAX,
            tight: options.tight_encoding,
            cache: options.cache,
            cache_size: CACHE_SIZE,
            stack_traces: true,
            tcp_no_delay: true,
            max_frame_size: options.max_frame_bytes as u64,
            max_inactivity_ms: u64::try_from(options.inactivity.as_millis()).unwrap_or(0),
            initial_delay_ms: INITIAL_DELAY_MS,
            provider_name: Some("Outflow".into()),
            provider_version: Some(env!("CARGO_PKG_VERSION").into()),
            ..Offer::default()
        }
    }

    /// The client has told what it can speak: from here on both speak what both can.
    pub(super) fn agree(&mut self, info: &WireFormatInfo, out: &mut Outbox) -> Outcomes {
        let fatal = |message: String| Failure::fatal(ErrorCode::Malformed, message);
        if self.has_agreed {
            return Err(fatal("WireFormatInfo came twice".to_owned()));
        }
        let ours = self.offer();
        let theirs = Offer::from_info(info);
        let theirs = theirs.map_err(|error| fatal(format!("WireFormatInfo: {error}")))?;
        let mut format = ours.agree(&theirs);
        // A client may allow more than the server can take.
        format.max_frame_size = format.max_frame_size.min(ours.max_frame_size);
        let inactivity = ours.agree_inactivity_ms(&theirs).unwrap_or(0);
        let inactivity = Duration::from_millis(inactivity);
        self.has_agreed = true;
        self.version = format.version;
        out.speak(format.clone());
        out.send(&Command::BrokerInfo(self.broker_info()));
        self.decoder.speak(format);
        Ok(Step::Then(Work::Keep(rhythm(inactivity))))
    }

    fn broker_info(&self) -> BrokerInfo {
        BrokerInfo {
            broker_id: Some(BrokerId { value: Some(self.face.broker.as_str().into()) }),
            broker_name: Some(self.face.options.broker_name.as_str().into()),
            ..BrokerInfo::default()
        }
    }

    /// A sign of life may ask for one.
    pub(super) fn keep_alive(&self, command: &Command, out: &mut Outbox) -> Step {
        if command.response_required() {
            self.say_alive(out);
        }
        Step::Done
    }

    /// A sign of life, where one is understood.
    pub(super) fn say_alive(&self, out: &mut Outbox) {
        if self.has_agreed {
            out.send(&Command::KeepAliveInfo(KeepAliveInfo::default()));
        }
    }

    /// Checks a login. What is wrong with it ends the connection.
    pub(super) fn connect(&self, info: &ConnectionInfo, asked: Asked) -> Outcomes {
        if self.opened.is_some() {
            return Err(Failure::malformed("The connection has been logged in already"));
        }
        let connection = info.connection_id.as_ref().and_then(|id| id.value.as_deref());
        let connection = connection
            .filter(|id| !id.is_empty())
            .ok_or_else(|| Failure::fatal(ErrorCode::Malformed, "A connection needs an id"))?;
        let client = info.client_id.as_deref().filter(|id| !id.is_empty()).unwrap_or(connection);
        if client.len() > MAX_ID_BYTES || connection.len() > MAX_ID_BYTES {
            let message = format!("A client id has at most {MAX_ID_BYTES} bytes");
            return Err(Failure::fatal(ErrorCode::TooLarge, message));
        }
        let user = info.user_name.as_deref().unwrap_or_default();
        let password = info.password.as_ref().map_or("", |password| password.reveal());
        let Some(grant) = self.face.auth.authenticate(&Presented::Login { user, password }) else {
            let user: String = user.chars().take(64).collect();
            let message = format!("User name [{user}] or password is invalid.");
            return Err(Failure::fatal(ErrorCode::Unauthenticated, message));
        };
        let opening = Opening {
            seat: self.face.live.sit(&grant.credential, connection),
            grant: Arc::new(grant),
            connection: connection.into(),
            client: client.to_owned(),
            is_again: info.failover_reconnect,
            manageable: info.manageable,
            asked,
        };
        Ok(Step::Then(Work::Open(Box::new(opening))))
    }

    /// Answers a login.
    pub(super) fn opening(
        &mut self,
        mut opening: Box<Opening>,
        taken: Option<ClientIdTaken>,
        out: &mut Outbox,
    ) -> Step {
        let asked = std::mem::take(&mut opening.asked);
        if taken.is_some() {
            let (broker, client) = (&self.face.options.broker_name, &opening.client);
            let message = format!("Broker: {broker} - Client: {client} already connected");
            let failure = Failure::fatal(ErrorCode::Conflict, message).about(About::Client);
            return self.fail(&failure, &asked, out);
        }
        let project = opening.grant.project.as_ref();
        let may_send = project.is_some_and(|one| opening.grant.allows(Action::Publish, one));
        self.decoder.bound(if may_send { u64::MAX } else { READS_ONLY });
        self.transactions.count_in(self.face.pool.share(Some(&opening.grant)));
        self.face.metrics.connected.inc();
        tracing::info!(
            session = self.number,
            credential = %opening.grant.credential,
            client = opening.client,
            "logged in"
        );
        asked.write(Ok(()), out);
        if opening.manageable {
            let control = ConnectionControl {
                connected_brokers: Some("".into()),
                reconnect_to: Some("".into()),
                ..ConnectionControl::default()
            };
            out.send(&Command::ConnectionControl(control));
        }
        self.opened = Some(opening);
        self.arrive();
        Step::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_server_writes_thrice_in_what_was_agreed_and_gives_the_client_two() {
        let agreed = rhythm(Duration::from_secs(3));
        assert_eq!(agreed.beat, Some(Duration::from_secs(1)));
        assert_eq!(agreed.silence, Some(Duration::from_secs(6)));
        assert_eq!(rhythm(Duration::ZERO), Rhythm::default());
        assert_eq!(rhythm(Duration::from_millis(1)).silence, Some(LEAST * 2));
    }
}
