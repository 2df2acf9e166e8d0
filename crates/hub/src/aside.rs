//! Looking at events aside: on threads for such work, where a filter costs much.
//!
//! Used by `session`, and by subscriptions, which look before they take their queue: who holds that while a look
//! takes seconds holds up all that the queue's consumers serve.
//! A filter may ask hundreds of questions of an event of a mebibyte, which takes
//! seconds: on the threads where connections are served all others would wait for it.
//!
//! Invariants: at most half of the processors look aside at once, whoever asks, and projects take turns
//! (`turns`); what is given up while it waits for its turn is never begun; what sidecars decide alone
//! is not looked at aside.

mod turns;

use std::num::NonZero;
use std::pin::Pin;
use std::sync::Arc;

use outflow_model::{Offset, ProjectId, Timestamp};
use outflow_store::{Block, BlockError};
use tokio::runtime::{Handle, RuntimeFlavor};

pub(crate) use self::turns::Turns;
use crate::tail::Round;
use crate::view::View;

/// Up to this cost ([`View::cost`]) events are looked at where they are sent: a few milliseconds.
const INLINE_COST: usize = 512 << 10;

/// What a view shows of a block.
pub(crate) type Seen = Result<Option<Arc<Block>>, BlockError>;

/// What is looked at.
pub(crate) enum Sight {
    /// A block of the session's own.
    Block(Arc<Block>),
    /// One that readers with the same view share.
    Round(Arc<Round>),
}

impl Sight {
    fn block(&self) -> &Arc<Block> {
        match self {
            Self::Block(block) => block,
            Self::Round(round) => &round.block,
        }
    }

    /// What `view` shows of it.
    pub(crate) fn seen_by(&self, view: &View, now: Timestamp) -> Seen {
        match self {
            Self::Block(block) => view.apply(block, now),
            Self::Round(round) => round.seen_by(view, now),
        }
    }

    /// Whether that costs too much to be found where it is sent.
    pub(crate) fn is_costly(&self, view: &View) -> bool {
        view.cost(self.block().plain_len()) > INLINE_COST
    }
}

/// Does what costs so much while others who are served by this thread go to another one.
pub(crate) fn in_place<T>(cost: usize, look: impl FnOnce() -> T) -> T {
    let runtime = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    if cost > INLINE_COST && matches!(runtime, Ok(RuntimeFlavor::MultiThread)) {
        tokio::task::block_in_place(look)
    } else {
        look()
    }
}

/// A look under way.
pub(crate) struct Look {
    /// Resolves when it was taken.
    pub(crate) seen: Pin<Box<dyn Future<Output = Seen> + Send>>,
    /// Where to look next.
    pub(crate) next: Offset,
    /// Whether it is at a round of the tail's.
    pub(crate) is_live: bool,
}

/// Which events of what was read a view shows.
#[derive(Debug)]
pub(crate) struct Shown {
    view: Arc<View>,
    /// In order.
    offsets: Vec<Offset>,
}

impl Shown {
    /// Whether it is this view's.
    pub(crate) fn is_by(&self, view: &Arc<View>) -> bool {
        Arc::ptr_eq(&self.view, view)
    }

    pub(crate) fn has(&self, offset: Offset) -> bool {
        self.offsets.binary_search(&offset).is_ok()
    }
}

/// Whether it costs too much to look at these blocks while others wait.
pub(crate) fn is_costly(view: &View, blocks: &[Arc<Block>]) -> bool {
    blocks.iter().any(|block| view.cost(block.plain_len()) > INLINE_COST)
}

/// Looks at the events of blocks from `from` on: at each block when its turn comes.
pub(crate) async fn shown(
    turns: &Arc<Turns>,
    project: &ProjectId,
    view: &Arc<View>,
    blocks: &[Arc<Block>],
    from: Offset,
    now: Timestamp,
) -> Shown {
    let mut offsets = Vec::new();
    for block in blocks {
        let Some(turn) = turns.clone().take(project.clone()).await else { break };
        let (view, block) = (view.clone(), block.clone());
        let look = move || {
            let _turn = turn;
            shown_of(&view, &block, from, now)
        };
        match tokio::task::spawn_blocking(look).await {
            // Who takes in what was read finds what is wrong with it.
            Ok(found) => offsets.extend(found.unwrap_or_default()),
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going away.
                Err(_) => std::future::pending().await,
            },
        }
    }
    Shown { view: view.clone(), offsets }
}

fn shown_of(
    view: &View,
    block: &Block,
    from: Offset,
    now: Timestamp,
) -> Result<Vec<Offset>, BlockError> {
    let (lines, metas) = (block.lines()?, block.metas()?);
    let (mut offsets, mut start) = (Vec::new(), 0);
    for meta in metas.iter() {
        let end = start + meta.line_len as usize;
        let line = lines.get(start..end).ok_or(BlockError::Corrupt)?;
        if meta.offset >= from && view.passes(&meta, line, now) {
            offsets.push(meta.offset);
        }
        start = end;
    }
    Ok(offsets)
}

/// The turns to look aside.
pub(crate) fn turns() -> Arc<Turns> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    Turns::new((processors / 2).max(1))
}

impl Look {
    /// Takes a look for a reader of `project` when its turn comes.
    pub(crate) fn new(
        turns: &Arc<Turns>,
        project: &ProjectId,
        view: &Arc<View>,
        sight: Sight,
        next: Offset,
        now: Timestamp,
    ) -> Self {
        let (turns, project, view) = (turns.clone(), project.clone(), view.clone());
        let is_live = matches!(sight, Sight::Round(_));
        let seen = async move {
            let Some(turn) = turns.take(project).await else { return Ok(None) };
            let look = move || {
                let _turn = turn;
                sight.seen_by(&view, now)
            };
            match tokio::task::spawn_blocking(look).await {
                Ok(seen) => seen,
                Err(failed) => match failed.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime is going away, and so is the session.
                    Err(_) => std::future::pending().await,
                },
            }
        };
        Self { seen: Box::pin(seen), next, is_live }
    }
}
