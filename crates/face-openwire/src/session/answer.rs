//! Who is answered, and how: a Response, an ExceptionResponse, or, where no answer was asked for,
//! nothing or a ConnectionError (reference `activemq.md` c4, Send and Errors).

use super::Outbox;
use crate::error::{self, Failure};
use crate::wire::{
    Command, ConnectionError, ExceptionResponse, IntegerResponse, ProducerAck, ProducerId, Response,
};

/// A command that may have asked for an answer.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Its number, when it did.
    command: Option<i32>,
    /// The producer whose window gets the message's size back.
    window: Option<(ProducerId, i32)>,
    is_of_branch: bool,
}

impl Asked {
    /// What the head of a command asks for.
    #[must_use]
    pub fn by(command_id: i32, response_required: bool) -> Self {
        Self { command: response_required.then_some(command_id), ..Self::silent() }
    }

    /// Nothing.
    #[must_use]
    pub const fn silent() -> Self {
        Self { command: None, window: None, is_of_branch: false }
    }

    /// The same, and the window of a producer.
    #[must_use]
    pub fn with_window(self, producer: ProducerId, size: i32) -> Self {
        Self { window: Some((producer, size)), ..self }
    }

    /// Whether there is anything to answer.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.command.is_some() || self.window.is_some()
    }

    /// Writes that it worked, with a number that came of it.
    pub(super) fn write_number(&self, result: i32, out: &mut Outbox) {
        if let Some(correlation_id) = self.command {
            let answer = IntegerResponse { correlation_id, result, ..IntegerResponse::default() };
            out.send(&Command::IntegerResponse(answer));
        }
    }

    /// The same, about a distributed transaction.
    pub(super) fn of_branch(self) -> Self {
        Self { is_of_branch: true, ..self }
    }

    /// Whether it is about a distributed transaction: those have failures of their own.
    pub(super) const fn is_of_branch(&self) -> bool {
        self.is_of_branch
    }

    /// Writes the answer.
    pub fn write(&self, result: Result<(), &Failure>, out: &mut Outbox) {
        match (result, self.command) {
            (Ok(()), None) => {}
            (Ok(()), Some(correlation_id)) => {
                out.send(&Command::Response(Response { correlation_id, ..Response::default() }));
            }
            (Err(failure), Some(correlation_id)) => {
                let exception = Some(error::exception(failure));
                let answer = ExceptionResponse { correlation_id, exception, ..Default::default() };
                out.send(&Command::ExceptionResponse(answer));
            }
            (Err(failure), None) => {
                let exception = Some(error::exception(failure));
                let error = ConnectionError { exception, ..ConnectionError::default() };
                out.send(&Command::ConnectionError(error));
            }
        }
        // The window opens again whatever became of the message, or its producer would wait for
        // ever.
        if let Some((producer, size)) = &self.window {
            let producer_id = Some(producer.clone());
            let ack = ProducerAck { producer_id, size: *size, ..ProducerAck::default() };
            out.send(&Command::ProducerAck(ack));
        }
    }
}
