//! Ids, destinations and transactions as text, as ActiveMQ's clients show them: `JMSMessageID` is one.
//! Reference `activemq.md`, (c3), "Ids as text".

use std::fmt::{Display, Formatter, Result};

use super::structure::{Destination, DestinationKind, TransactionId};
use super::table::{
    BrokerId, ConnectionId, ConsumerId, LocalTransactionId, MessageId, ProducerId, SessionId,
    XaTransactionId,
};
use super::{Identity, Throwable};

impl Display for ConnectionId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        formatter.write_str(self.value.as_deref().unwrap_or_default())
    }
}

impl Display for BrokerId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        formatter.write_str(self.value.as_deref().unwrap_or_default())
    }
}

impl Display for SessionId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let connection = self.connection_id.as_deref().unwrap_or_default();
        write!(formatter, "{connection}:{}", self.value)
    }
}

impl Display for ConsumerId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let connection = self.connection_id.as_deref().unwrap_or_default();
        write!(formatter, "{connection}:{}:{}", self.session_id, self.value)
    }
}

impl Display for ProducerId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let connection = self.connection_id.as_deref().unwrap_or_default();
        write!(formatter, "{connection}:{}:{}", self.session_id, self.value)
    }
}

impl Display for MessageId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match (self.text_view.as_deref(), &self.producer_id) {
            (Some(text), _) if text.starts_with("ID:") => formatter.write_str(text),
            (Some(text), _) => write!(formatter, "ID:{text}"),
            (None, Some(producer)) => write!(formatter, "{producer}:{}", self.producer_sequence_id),
            (None, None) => write!(formatter, "{}", self.producer_sequence_id),
        }
    }
}

impl Display for Destination {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let scheme = match self.kind {
            DestinationKind::Queue => "queue",
            DestinationKind::Topic => "topic",
            DestinationKind::TempQueue => "temp-queue",
            DestinationKind::TempTopic => "temp-topic",
        };
        write!(formatter, "{scheme}://{}", self.name())
    }
}

impl Display for TransactionId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            Self::Local(id) => id.fmt(formatter),
            Self::Xa(id) => id.fmt(formatter),
        }
    }
}

impl Display for LocalTransactionId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        formatter.write_str("TX:")?;
        if let Some(connection) = &self.connection_id {
            connection.fmt(formatter)?;
        }
        write!(formatter, ":{}", self.value)
    }
}

impl Display for XaTransactionId {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let part = |formatter: &mut Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(formatter, "{byte:x}"))
        };
        write!(formatter, "XID:[{},globalId=", self.format_id)?;
        part(formatter, self.global_transaction_id.as_deref().unwrap_or_default())?;
        formatter.write_str(",branchId=")?;
        part(formatter, self.branch_qualifier.as_deref().unwrap_or_default())?;
        formatter.write_str("]")
    }
}

impl Display for Identity {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            Self::ConnectionId(id) => id.fmt(formatter),
            Self::SessionId(id) => id.fmt(formatter),
            Self::ConsumerId(id) => id.fmt(formatter),
            Self::ProducerId(id) => id.fmt(formatter),
            Self::BrokerId(id) => id.fmt(formatter),
            Self::Destination(destination) => destination.fmt(formatter),
            Self::TransactionId(id) => id.fmt(formatter),
        }
    }
}

impl Display for Throwable {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        formatter.write_str(self.class.as_deref().unwrap_or_default())?;
        match self.message.as_deref() {
            Some(message) => write!(formatter, ": {message}"),
            None => Ok(()),
        }
    }
}
