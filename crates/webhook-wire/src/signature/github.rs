//! GitHub's style: `X-Hub-Signature-256: sha256=<hex>` over the body, and what it says of a delivery.
//!
//! Reference `trust_ux.md` 1.3. `X-GitHub-Delivery` is a GUID, the same when a message is sent
//! again: here it is made of the message's id.

use ring::digest::{SHA256, digest};

use super::text::Key;
use super::{Message, MessageId};
use crate::header::Field;

/// What a batch of events of several types is said to be of.
const MIXED: &str = "events";

/// The headers of a message; there is room for one signature.
pub(super) fn fields(key: Option<&Key>, message: &Message<'_>) -> Vec<Field> {
    let mut fields = vec![
        Field::new("X-GitHub-Event", message.event.unwrap_or(MIXED)),
        Field::new("X-GitHub-Delivery", &guid(message.id)),
        Field::new("X-GitHub-Hook-ID", message.endpoint),
    ];
    if let Some(key) = key {
        let signature = key.sign(&[message.body]);
        fields.push(Field::new("X-Hub-Signature-256", &format!("sha256={signature}")));
    }
    fields
}

/// The GUID of a message, by RFC 9562's version 8: made of whatever the maker says.
fn guid(id: &MessageId) -> String {
    let digest = digest(&SHA256, id.as_str().as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    let mut value = u128::from_be_bytes(bytes);
    value = (value & !(0xF << 76)) | (0x8 << 76);
    value = (value & !(0x3 << 62)) | (0x2 << 62);
    let part = |from: u32, digits: u32| (value >> from) & ((1 << (digits * 4)) - 1);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 8),
        part(80, 4),
        part(64, 4),
        part(48, 4),
        part(0, 12)
    )
}
