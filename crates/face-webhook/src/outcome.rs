//! What an attempt comes to: whether the batch was taken, comes again, or is set aside.
//!
//! Called once an attempt has an answer, or has failed without one. Reference `trust_ux.md` 1.3
//! (Standard Webhooks) and `airship.md` 6: 2xx takes the batch; 410 disables the endpoint; 408, 429,
//! 5xx, redirects and everything that kept an answer from coming are tried again; other 4xx say that this
//! batch will never be taken, so it is set aside and those behind it go on.
//!
//! Invariant: what a tenant reads of a failure is one of a few sentences. It says nothing of addresses, and
//! nothing by which a name that resolves to a forbidden address differs from one that does not
//! resolve.

use std::fmt;
use std::io;

use outflow_model::Timestamp;

use crate::guard::Denied;
use crate::schedule::{self, Wish};
use crate::wire::{Answer, AnswerError};

/// What becomes of a batch, and of its endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint has it.
    Taken,
    /// It is sent again.
    Again {
        /// Why.
        failure: Failure,
        /// What the endpoint wishes for.
        wish: Wish,
    },
    /// The endpoint will never take it: it is set aside.
    Refused {
        /// 400 to 499.
        status: u16,
    },
    /// The endpoint wants nothing any more: it is disabled, and the batch kept (410).
    Gone,
}

impl Outcome {
    /// What an answer means that came at `now`.
    #[must_use]
    pub fn of(answer: &Answer, now: Timestamp) -> Self {
        let status = answer.status;
        let again = |is_throttled| {
            let text = answer.retry_after.as_deref();
            let retry_after = text.and_then(|text| schedule::retry_after(text, now));
            Self::Again {
                failure: Failure::Status(status),
                wish: Wish { is_throttled, retry_after },
            }
        };
        match status {
            200..300 => Self::Taken,
            300..400 => Self::Again { failure: Failure::Redirect(status), wish: Wish::default() },
            408 | 429 | 502 | 504 => again(true),
            410 => Self::Gone,
            400..500 => Self::Refused { status },
            _ => again(false),
        }
    }

    /// What it means that no answer came.
    #[must_use]
    pub fn of_failure(failure: Failure) -> Self {
        let is_throttled = matches!(failure, Failure::Silence);
        Self::Again { failure, wish: Wish { is_throttled, retry_after: None } }
    }
}

/// Why a batch has to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The host's name gives no address that may be reached: none at all, or forbidden ones.
    Address,
    /// No connection came about in time, or it was refused.
    Connect,
    /// No encrypted connection came about.
    Tls(TlsFault),
    /// The connection broke.
    Broken,
    /// It said by this status that it took the batch, and did not read all of it.
    Unread(u16),
    /// No answer came in time.
    Silence,
    /// What came was no answer.
    Answer(AnswerError),
    /// The endpoint points elsewhere, where nothing is sent.
    Redirect(u16),
    /// The endpoint says so.
    Status(u16),
}

/// Why there was no encrypted connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate's time is over, or has not begun.
    Time,
    /// The certificate is for another name.
    Name,
    /// Nobody whom the server trusts has issued it.
    Issuer,
    /// It was revoked.
    Revoked,
    /// It is none of a server's otherwise, such as one that is its own issuer.
    Certificate,
    /// Anything else, such as no version or cipher that both have.
    Handshake,
}

impl Failure {
    /// What a failure of the socket, or of TLS on it, is.
    #[must_use]
    pub fn of_io(error: &io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return Self::Tls(TlsFault::of(tls));
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::PermissionDenied => Self::Connect,
            io::ErrorKind::TimedOut => Self::Silence,
            _ => Self::Broken,
        }
    }

    /// Whether the endpoint says of this request that it came to grief with it, which another might not. Who is
    /// down altogether, or stands behind what is, says 502, 503 or 504.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        matches!(self, Self::Status(500 | 501 | 505..=599))
    }

    /// The status that came all the same, and did not decide.
    #[must_use]
    pub const fn status(self) -> Option<u16> {
        if let Self::Unread(status) = self { Some(status) } else { None }
    }

    /// The word for it in metrics and the log of attempts: of a fixed few.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Connect => "connect",
            Self::Tls(_) => "tls",
            Self::Broken | Self::Unread(_) => "broken",
            Self::Silence => "timeout",
            Self::Answer(_) => "answer",
            Self::Redirect(_) => "redirect",
            Self::Status(_) => "status",
        }
    }
}

impl From<Denied> for Failure {
    fn from(_: Denied) -> Self {
        Self::Address
    }
}

impl From<AnswerError> for Failure {
    /// An endpoint that closes without an answer is not one that answers nonsense.
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Closed => Self::Broken,
            AnswerError::TooLarge | AnswerError::Interims | AnswerError::Malformed => {
                Self::Answer(error)
            }
        }
    }
}

impl TlsFault {
    fn of(error: &rustls::Error) -> Self {
        use rustls::CertificateError as Bad;
        let rustls::Error::InvalidCertificate(bad) = error else { return Self::Handshake };
        match bad {
            Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. } => Self::Time,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Self::Name,
            // Whoever takes the name of an authority has not its key.
            Bad::UnknownIssuer | Bad::BadSignature => Self::Issuer,
            Bad::Revoked => Self::Revoked,
            // What OpenSSL makes unless told otherwise signs itself and says it is an authority.
            _ => Self::Certificate,
        }
    }
}

impl fmt::Display for Failure {
    /// For tenants.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("the host's name gives no address that may be reached"),
            Self::Connect => f.write_str("the host could not be connected to"),
            Self::Tls(TlsFault::Time) => f.write_str("the host's certificate is not valid now"),
            Self::Tls(TlsFault::Name) => f.write_str("the host's certificate is for another name"),
            Self::Tls(TlsFault::Issuer) => {
                f.write_str("the host's certificate is not from a trusted issuer")
            }
            Self::Tls(TlsFault::Revoked) => f.write_str("the host's certificate was revoked"),
            Self::Tls(TlsFault::Certificate) => f.write_str(
                "the host's certificate is malformed, not a server's, or signed by itself",
            ),
            Self::Tls(TlsFault::Handshake) => f.write_str("the TLS handshake failed"),
            Self::Broken => f.write_str("the connection broke before an answer"),
            Self::Unread(status) => write!(
                f,
                "the host answered {status} before it had read the request, and did not read all of it"
            ),
            Self::Silence => f.write_str("no answer came in time"),
            Self::Answer(error) => error.fmt(f),
            Self::Redirect(status) => {
                write!(f, "the answer was {status}: redirects are not followed")
            }
            Self::Status(status) => write!(f, "the answer was {status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(status: u16) -> Outcome {
        let retry_after = Some("7".to_owned());
        let answer = Answer { status, retry_after, excerpt: Vec::new(), is_reusable: true };
        Outcome::of(&answer, Timestamp::default())
    }

    #[test]
    fn every_status_has_one_meaning() {
        for status in 200..=999 {
            let outcome = of(status);
            let expected = match status {
                200..=299 => outcome == Outcome::Taken,
                300..=399 => {
                    let failure = Failure::Redirect(status);
                    outcome == Outcome::Again { failure, wish: Wish::default() }
                }
                410 => outcome == Outcome::Gone,
                408 | 429 | 500..=999 => {
                    let retry_after = Some(Duration::from_secs(7));
                    let is_throttled = [408, 429, 502, 504].contains(&status);
                    let wish = Wish { is_throttled, retry_after };
                    outcome == Outcome::Again { failure: Failure::Status(status), wish }
                }
                _ => outcome == Outcome::Refused { status },
            };
            assert!(expected, "{status}: {outcome:?}");
        }
    }

    #[test]
    fn faults_of_the_network_are_tried_again() {
        use io::ErrorKind as Kind;
        let cases = [
            (Kind::ConnectionRefused, Failure::Connect),
            (Kind::HostUnreachable, Failure::Connect),
            (Kind::ConnectionReset, Failure::Broken),
            (Kind::BrokenPipe, Failure::Broken),
            (Kind::UnexpectedEof, Failure::Broken),
            (Kind::TimedOut, Failure::Silence),
        ];
        for (kind, expected) in cases {
            let failure = Failure::of_io(&kind.into());
            assert_eq!(failure, expected, "{kind}");
            assert!(matches!(Outcome::of_failure(failure), Outcome::Again { .. }), "{kind}");
        }
        let throttled = Wish { is_throttled: true, retry_after: None };
        let silence = Outcome::Again { failure: Failure::Silence, wish: throttled };
        assert_eq!(Outcome::of_failure(Failure::Silence), silence);
        assert_eq!(Failure::from(AnswerError::Closed), Failure::Broken);
    }

    #[test]
    fn faults_of_certificates_are_told_apart() {
        use rustls::{CertificateError as Bad, Error};
        let cases = [
            (Error::InvalidCertificate(Bad::Expired), TlsFault::Time),
            (Error::InvalidCertificate(Bad::NotValidForName), TlsFault::Name),
            (Error::InvalidCertificate(Bad::UnknownIssuer), TlsFault::Issuer),
            (Error::InvalidCertificate(Bad::BadSignature), TlsFault::Issuer),
            (Error::InvalidCertificate(Bad::Revoked), TlsFault::Revoked),
            (Error::InvalidCertificate(Bad::BadEncoding), TlsFault::Certificate),
            (Error::DecryptError, TlsFault::Handshake),
        ];
        for (error, expected) in cases {
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            assert_eq!(Failure::of_io(&error), Failure::Tls(expected), "{error}");
        }
    }

    #[test]
    fn a_forbidden_address_reads_like_none() {
        let denied = crate::guard::Guard::default().check("10.0.0.1:443".parse().unwrap());
        let failure = Failure::from(denied.unwrap_err());
        assert_eq!(failure, Failure::Address);
        assert!(!failure.to_string().contains("10."), "{failure}");
    }
}
