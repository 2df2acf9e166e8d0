//! How long the texts may be that a session, or others for it, keep of what a client names.
//!
//! Called before anything is kept: a frame may be megabytes, and a connection may have thousands of
//! producers, consumers, sessions and transactions.

use bytes::Bytes;
use outflow_broker::About;
use outflow_model::ErrorCode;

use crate::error::Failure;
use crate::wire::{Destination, TransactionId, WireStr};

/// The longest client or connection id, in bytes.
pub(super) const MAX_ID_BYTES: usize = 255;
/// The longest name of a destination, in bytes: of a composite, all its names and options.
const MAX_DESTINATION_BYTES: usize = 4_096;

/// Checks the connection that an id names.
pub(super) fn connection(id: Option<&WireStr>) -> Result<(), Failure> {
    if id.is_none_or(|id| id.len() <= MAX_ID_BYTES) {
        return Ok(());
    }
    let message = format!("A connection's id has at most {MAX_ID_BYTES} bytes");
    Err(Failure::new(ErrorCode::TooLarge, message))
}

/// Checks a destination.
pub(super) fn destination(one: &Destination) -> Result<(), Failure> {
    if one.name().len() <= MAX_DESTINATION_BYTES {
        return Ok(());
    }
    let message = format!("A destination's name has at most {MAX_DESTINATION_BYTES} bytes");
    Err(Failure::new(ErrorCode::TooLarge, message).about(About::Destination))
}

/// The id of a transaction to be kept: bytes of its own, so that it keeps no frame in memory.
pub(super) fn transaction(id: &TransactionId) -> Result<TransactionId, Failure> {
    match id {
        TransactionId::Local(local) => {
            connection(local.connection_id.as_ref().and_then(|id| id.value.as_ref()))?;
            Ok(id.clone())
        }
        // Its parts were found to have 64 bytes at most.
        TransactionId::Xa(branch) => {
            let mut branch = branch.clone();
            for part in [&mut branch.global_transaction_id, &mut branch.branch_qualifier] {
                *part = part.as_deref().map(Bytes::copy_from_slice);
            }
            Ok(TransactionId::Xa(branch))
        }
    }
}
