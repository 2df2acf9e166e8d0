//! Making few blocks of many: small commits become one block a round, so that a reader is sent,
//! and a compressor given, worthwhile pieces.

use std::sync::Arc;

use outflow_model::Offset;
use outflow_store::block::BlockHead;
use outflow_store::{Block, BlockError};

/// Blocks from this size on are handed on as they are; smaller ones are joined up to it.
const WORTHWHILE: usize = 128 << 10;

/// The events of `blocks` from `from` on, in as few blocks as is worthwhile. Consecutive blocks of
/// one stream are expected; a block alone is handed on as it is.
///
/// # Errors
/// [`BlockError`] when a stored form is damaged.
pub(crate) fn join(
    blocks: &[Arc<Block>],
    from: Offset,
    next: Offset,
) -> Result<Vec<Arc<Block>>, BlockError> {
    let mut out = Vec::new();
    let mut small: Vec<Arc<Block>> = Vec::new();
    let mut bytes = 0;
    for block in blocks {
        let cut = if block.first < from {
            block.tail_from(from)?.map(Arc::new)
        } else {
            Some(block.clone())
        };
        let Some(block) = cut.filter(|block| block.first < next) else { continue };
        if bytes + block.plain_len() > WORTHWHILE {
            out.extend(merge(&std::mem::take(&mut small))?);
            bytes = 0;
        }
        bytes += block.plain_len();
        small.push(block);
    }
    out.extend(merge(&small)?);
    Ok(out)
}

/// One block of all their events.
fn merge(blocks: &[Arc<Block>]) -> Result<Option<Arc<Block>>, BlockError> {
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return Ok(None) };
    if blocks.len() == 1 {
        return Ok(Some(first.clone()));
    }
    let mut lines = Vec::with_capacity(blocks.iter().map(|block| block.plain_len()).sum());
    let mut metas = Vec::new();
    for block in blocks {
        lines.extend_from_slice(block.lines()?);
        metas.extend_from_slice(block.meta_bytes()?);
    }
    let head = BlockHead {
        first: first.first,
        last: last.last,
        count: blocks.iter().map(|block| block.count).sum(),
        first_at: first.first_at,
        last_at: last.last_at,
    };
    Ok(Some(Arc::new(Block::plain(head, lines.into(), metas.into()))))
}
