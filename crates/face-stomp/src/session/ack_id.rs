//! By what a client acks a message.

use std::fmt;

/// Header `ack` of MESSAGE, `id` of ACK. Unique in its connection, and says where the message stands,
/// so that no table has to be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AckId {
    /// The number of the subscription in its connection.
    pub subscription: u32,
    /// The message's lease.
    pub lease: u64,
}

impl fmt::Display for AckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.subscription, self.lease)
    }
}

impl AckId {
    /// The numbers that it is written as, with a hyphen between them.
    #[must_use]
    pub fn numbers(self) -> (u64, u64) {
        (self.subscription.into(), self.lease)
    }

    /// Reads what a client gave.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (subscription, lease) = text.split_once('-')?;
        Some(Self { subscription: subscription.parse().ok()?, lease: lease.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ack_ids_are_read_back() {
        let id = AckId { subscription: 7, lease: u64::MAX };
        assert_eq!(AckId::parse(&id.to_string()), Some(id));
        for bad in ["", "-", "1", "1-", "-1", "1-2-3", "a-1", "4294967296-1"] {
            assert_eq!(AckId::parse(bad), None, "{bad}");
        }
    }
}
