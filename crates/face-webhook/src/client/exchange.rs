//! One request and one answer on a connection.
//!
//! Called by the client. Writes and reads at once: an endpoint may answer before it has read the
//! request, as with 413, and then close. The head decides; what follows of the body is waited for a
//! little, for the people who read excerpts and for the connection's sake.
//!
//! An endpoint that takes a batch may say so while it still reads. A connection that is closed with something
//! unread on it is reset, and what was on its way to the endpoint is lost with it. So the rest of a longer request is
//! written, while what a good answer goes on with is read and thrown away; a connection that can not be used again
//! then and that the endpoint has not ended is a [`Rest`], which is read out aside.
//!
//! Invariants: ends by its deadline; an endpoint takes nothing of which it was not sent all: a 2xx counts
//! once the request is written, and nothing that we do to the connection can keep it from the endpoint; what is
//! kept is bounded, by the decoder, and what is read and thrown away by its rate; a connection is given back
//! only if request and answer both went through whole.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::line::Line;
use super::rest::Rest;
use crate::outcome::Failure;
use crate::wire::answer::{Decoder, Limits};
use crate::wire::{Answer, AnswerError};

/// Whoever answers a request of so many bytes has had all of it: servers read no less at once than this when
/// they read a head.
const AT_ONCE: usize = 4 << 10;
/// How much of an answer is thrown away at once, beyond as much as the request has, and after which pause.
const THROWN: usize = 256 << 10;
const PAUSE: Duration = Duration::from_millis(100);

/// How long it may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// When it is over.
    pub(super) deadline: Instant,
    /// How long the body may go on after the head.
    pub(super) body: Duration,
}

/// What is sent: both parts in one call where the system takes them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) head: &'a [u8],
    pub(super) body: &'a [u8],
}

/// There is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) failure: Failure,
    /// Whether nothing at all had come back.
    pub(super) is_silent: bool,
}

/// What is left of the connection of an exchange.
#[derive(Debug)]
pub(super) enum Left {
    Nothing,
    /// It can be used again.
    Line(Line),
    /// The endpoint may still read.
    Rest(Rest),
}

/// Sends a request; gives the answer, and what is left of the connection.
pub(super) async fn exchange(
    line: Line,
    message: Message<'_>,
    limits: Limits,
    times: Times,
) -> Result<(Answer, Left), Broken> {
    let mut exchange = Exchange {
        line,
        message,
        sent: 0,
        sending: Sending::On,
        decoder: Some(Decoder::new(limits)),
        answer: None,
        taking: None,
        is_silent: true,
        is_hurried: false,
    };
    let mut timer = pin!(sleep_until(times.deadline));
    let done = poll_fn(|cx| exchange.poll(cx, timer.as_mut(), times)).await;
    let is_sent = matches!(exchange.sending, Sending::Done);
    match done {
        Ok(answer) if answer.is_reusable && is_sent => Ok((answer, Left::Line(exchange.line))),
        Ok(answer) => {
            let still_reads = exchange.taking.is_some_and(|taking| !taking.has_ended);
            let is_over = exchange.decoder.as_ref().is_none_or(|decoder| !decoder.has_status());
            let (line, sent) = (exchange.line, exchange.sent);
            let rest = still_reads.then_some(Rest { line, sent, is_over });
            Ok((answer, rest.map_or(Left::Nothing, Left::Rest)))
        }
        Err(failure) => Err(Broken { failure, is_silent: exchange.is_silent }),
    }
}

/// How far the request is.
#[derive(Debug)]
enum Sending {
    On,
    Done,
    /// The endpoint takes no more of it. It may have answered all the same.
    Failed(Failure),
}

struct Exchange<'a> {
    line: Line,
    message: Message<'a>,
    /// How many bytes of both are written.
    sent: usize,
    sending: Sending,
    /// Gone once it has given its answer.
    decoder: Option<Decoder>,
    /// One that is over, while it is not known yet that the endpoint has the request.
    answer: Option<Answer>,
    /// Since the endpoint has said that it takes the batch.
    taking: Option<Taking>,
    is_silent: bool,
    /// Whether the status is known, and little time is left.
    is_hurried: bool,
}

/// How the end of an exchange is waited for in which the endpoint has said that it takes the batch.
struct Taking {
    /// How many bytes may be read before a pause, and until when that lasts.
    spare: usize,
    pause: Instant,
    /// From when on an answer that is not over is not waited for any more.
    patience: Instant,
    /// Whether the endpoint has ended its side.
    has_ended: bool,
}

impl Exchange<'_> {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        times: Times,
    ) -> Poll<Result<Answer, Failure>> {
        if matches!(self.sending, Sending::On) {
            match self.poll_send(cx) {
                Poll::Ready(Ok(())) => self.sending = Sending::Done,
                Poll::Ready(Err(error)) => self.sending = Sending::Failed(Failure::of_io(&error)),
                Poll::Pending => {}
            }
        }
        if self.taking.is_none() {
            let head = ready!(self.poll_head(cx, timer.as_mut(), times));
            let is_good = match &head {
                Some(Ok(answer)) => (200..300).contains(&answer.status),
                Some(Err(_)) => false,
                None => true,
            };
            let is_over =
                head.as_ref().is_some_and(|head| head.as_ref().is_ok_and(|one| one.is_reusable));
            let is_known = matches!(self.sending, Sending::Done) && (self.is_short() || is_over);
            match head {
                Some(done) if !is_good || is_known => return Poll::Ready(done),
                Some(done) => self.answer = done.ok(),
                None => {}
            }
            self.begin_taking(times);
        }
        self.poll_taking(cx, timer, times.deadline)
    }

    /// Whether who answers has had the whole request.
    const fn is_short(&self) -> bool {
        self.message.head.len().saturating_add(self.message.body.len()) <= AT_ONCE
    }

    /// The endpoint says that it takes the batch.
    fn begin_taking(&mut self, times: Times) {
        let now = Instant::now();
        let spare = self.message.head.len().saturating_add(self.message.body.len());
        let patience = times.deadline.min(now + times.body);
        // An answer that ended otherwise than with its connection has left its decoder.
        let has_ended = self.decoder.is_none();
        let spare = spare.saturating_add(THROWN);
        self.taking = Some(Taking { spare, pause: now, patience, has_ended });
        if let Some(decoder) = &mut self.decoder {
            decoder.read_out();
        }
    }

    /// Waits for the answer, for as long as it may take. `None`: it takes a batch of some length, and goes on.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        times: Times,
    ) -> Poll<Option<Result<Answer, Failure>>> {
        loop {
            match self.poll_answer(cx) {
                Poll::Ready(Some(done)) => return Poll::Ready(Some(done)),
                Poll::Ready(None) if !self.is_short() => {
                    if self.decoder.as_ref().is_some_and(Decoder::is_good) {
                        return Poll::Ready(None);
                    }
                }
                Poll::Ready(None) => {}
                Poll::Pending => break,
            }
        }
        let has_status = self.decoder.as_ref().is_some_and(Decoder::has_status);
        if has_status && !self.is_hurried {
            self.is_hurried = true;
            timer.as_mut().reset(times.deadline.min(Instant::now() + times.body));
        }
        ready!(timer.poll(cx));
        let answer = self.decoder.take().and_then(Decoder::cut);
        Poll::Ready(Some(answer.ok_or(Failure::Silence)))
    }

    /// Waits until all of the request is written that the endpoint takes, and a little for the end of its answer.
    /// Without the first the batch is not taken.
    fn poll_taking(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        deadline: Instant,
    ) -> Poll<Result<Answer, Failure>> {
        loop {
            self.throw_away(cx);
            let Some(taking) = &mut self.taking else {
                return Poll::Ready(Err(Failure::Broken));
            };
            let now = Instant::now();
            match self.sending {
                Sending::Done if self.answer.is_some() || now >= taking.patience => {
                    return Poll::Ready(self.said().ok_or(Failure::Broken));
                }
                Sending::Failed(_) => return Poll::Ready(Err(self.unread())),
                Sending::Done | Sending::On => {}
            }
            let mut wake = deadline;
            if taking.spare == 0 && !taking.has_ended {
                if now >= taking.pause {
                    (taking.spare, taking.pause) = (THROWN, now + PAUSE);
                    continue;
                }
                wake = wake.min(taking.pause);
            }
            if now < taking.patience {
                wake = wake.min(taking.patience);
            }
            if timer.deadline() != wake {
                timer.as_mut().reset(wake);
            }
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(Err(self.unread()));
            }
        }
    }

    /// The answer, or what has come of it.
    fn said(&mut self) -> Option<Answer> {
        self.answer.take().or_else(|| self.decoder.as_ref().and_then(Decoder::so_far))
    }

    /// The endpoint has not read what it says it takes.
    fn unread(&mut self) -> Failure {
        self.said().map_or(Failure::Broken, |answer| Failure::Unread(answer.status))
    }

    /// Reads what the answer goes on with, and what follows it.
    fn throw_away(&mut self, cx: &mut Context<'_>) {
        let Some(taking) = &mut self.taking else { return };
        while taking.spare > 0 && !taking.has_ended {
            let bytes = match self.line.poll_read(cx) {
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => bytes,
                Poll::Ready(_) => {
                    taking.has_ended = true;
                    let cut = self.decoder.take().and_then(Decoder::cut);
                    self.answer = self.answer.take().or(cut);
                    if let Some(answer) = &mut self.answer {
                        answer.is_reusable = false;
                    }
                    return;
                }
                Poll::Pending => return,
            };
            taking.spare = taking.spare.saturating_sub(bytes.len());
            match &mut self.decoder {
                // What follows an answer is none to the next request.
                _ if self.answer.is_some() => {
                    self.answer.iter_mut().for_each(|answer| answer.is_reusable = false);
                }
                Some(decoder) => self.answer = decoder.take(bytes).ok().flatten(),
                None => {}
            }
        }
    }

    /// Writes what is left of the request, as few calls as there can be.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let head = self.message.head.get(self.sent..).unwrap_or_default();
            let from = self.sent.saturating_sub(self.message.head.len());
            let body = self.message.body.get(from..).unwrap_or_default();
            if head.is_empty() && body.is_empty() {
                return self.line.stream().poll_flush(cx);
            }
            let parts = [IoSlice::new(head), IoSlice::new(body)];
            let parts = if head.is_empty() { parts.get(1..) } else { parts.get(..) };
            let parts = parts.unwrap_or_default();
            let written = ready!(self.line.stream().poll_write_vectored(cx, parts))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written;
        }
    }

    /// Reads once. `None`: there is more to read.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Answer, Failure>>> {
        let read = ready!(self.line.poll_read(cx));
        let Some(decoder) = self.decoder.as_mut() else {
            return Poll::Ready(Some(Err(Failure::Broken)));
        };
        let failure = match read {
            Ok([]) => AnswerError::Closed.into(),
            Ok(bytes) => {
                self.is_silent = false;
                let taken = decoder.take(bytes).map_err(Failure::from);
                return Poll::Ready(taken.transpose());
            }
            Err(error) => Failure::of_io(&error),
        };
        // Many endpoints end TLS by closing: what they had said by then counts.
        let answer = self.decoder.take().and_then(Decoder::cut);
        let failure = match (&self.sending, failure) {
            (Sending::Failed(first), Failure::Broken) => *first,
            (_, failure) => failure,
        };
        Poll::Ready(Some(answer.ok_or(failure)))
    }
}
