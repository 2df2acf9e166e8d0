//! One request and one answer on a connection.
//!
//! Called by the client. Writes and reads at once: an endpoint may answer before it has read the
//! request, as with 413, and then close. The head decides; what follows of the body is waited for a
//! little, for the people who read excerpts and for the connection's sake.
//!
//! Invariants: ends by its deadline; an endpoint takes nothing of which it was not sent all: a 2xx counts
//! once the request is written; what is read is bounded, by the decoder, and while the request is still being
//! written by its size; a connection is given back only if request and answer both went through whole.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::line::Line;
use crate::outcome::Failure;
use crate::wire::answer::{Decoder, Limits};
use crate::wire::{Answer, AnswerError};

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

/// Sends a request; gives the answer, and the connection if it can be used again.
pub(super) async fn exchange(
    line: Line,
    message: Message<'_>,
    limits: Limits,
    times: Times,
) -> Result<(Answer, Option<Line>), Broken> {
    let mut exchange = Exchange {
        line,
        message,
        sent: 0,
        sending: Sending::On,
        decoder: Some(Decoder::new(limits)),
        answer: None,
        spare: message.head.len().saturating_add(message.body.len()),
        is_silent: true,
        is_hurried: false,
    };
    let mut timer = pin!(sleep_until(times.deadline));
    let done = poll_fn(|cx| exchange.poll(cx, timer.as_mut(), times)).await;
    let is_sent = matches!(exchange.sending, Sending::Done);
    match done {
        Ok(answer) => {
            let line = (answer.is_reusable && is_sent).then_some(exchange.line);
            Ok((answer, line))
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
    /// One that says that the batch is taken, while the request is still being written.
    answer: Option<Answer>,
    /// How many bytes are read behind it: an endpoint may say what it reads, and read no more while
    /// nobody hears it.
    spare: usize,
    is_silent: bool,
    /// Whether the status is known, and little time is left.
    is_hurried: bool,
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
        if self.answer.is_none() {
            let answer = match ready!(self.poll_head(cx, timer.as_mut(), times)) {
                Ok(answer) => answer,
                failed @ Err(_) => return Poll::Ready(failed),
            };
            if matches!(self.sending, Sending::Done) || !(200..300).contains(&answer.status) {
                return Poll::Ready(Ok(answer));
            }
            // The answer's time is over: the request has all that there is.
            timer.as_mut().reset(times.deadline);
            self.answer = Some(answer);
        }
        self.poll_rest(cx, timer)
    }

    /// Waits for the answer, for as long as it may take.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        times: Times,
    ) -> Poll<Result<Answer, Failure>> {
        loop {
            match self.poll_answer(cx) {
                Poll::Ready(Some(done)) => return Poll::Ready(done),
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
        Poll::Ready(answer.ok_or(Failure::Silence))
    }

    /// Waits until the request is written whose answer has come: without its end it was not taken.
    fn poll_rest(
        &mut self,
        cx: &mut Context<'_>,
        timer: Pin<&mut Sleep>,
    ) -> Poll<Result<Answer, Failure>> {
        while self.spare > 0 {
            match self.line.poll_read(cx) {
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => {
                    self.spare = self.spare.saturating_sub(bytes.len());
                    // What follows an answer is none to the next request.
                    self.answer.iter_mut().for_each(|answer| answer.is_reusable = false);
                }
                // It may have closed its own side only.
                Poll::Ready(_) => {
                    self.spare = 0;
                    self.answer.iter_mut().for_each(|answer| answer.is_reusable = false);
                }
                Poll::Pending => break,
            }
        }
        match self.sending {
            Sending::Done => Poll::Ready(self.answer.take().ok_or(Failure::Unread)),
            Sending::Failed(_) => Poll::Ready(Err(Failure::Unread)),
            Sending::On => {
                ready!(timer.poll(cx));
                Poll::Ready(Err(Failure::Unread))
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
