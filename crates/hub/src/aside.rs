//! Looking at events aside: on threads for such work, where a filter costs much.
//!
//! Used by `session`, and by subscriptions, which look before they take their queue: who holds that while a look
//! takes seconds holds up all that the queue's consumers serve. Browses ask long selectors here.
//! A filter may ask hundreds of questions of an event of a mebibyte, which takes
//! seconds: on the threads where connections are served all others would wait for it.
//!
//! Invariants: at most half of the processors look aside at once, whoever asks, and projects take turns
//! (`turns`), also in the middle of a look, and of an event; what is given up while it waits for its first
//! turn is never begun; what sidecars decide alone is not looked at aside.

mod turns;

use std::num::NonZero;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use outflow_model::{Offset, ProjectId, Timestamp};
use outflow_store::{Block, BlockError};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::turns::Turn;
pub(crate) use self::turns::Turns;
use crate::tail::Round;
use crate::view::View;

/// Up to this cost ([`View::cost`]) events are looked at where they are sent: a few milliseconds.
const INLINE_COST: usize = 512 << 10;
/// After how long a look lets those of other projects go first.
const TURN: Duration = Duration::from_millis(20);
/// How many steps of a look are between two glances at the time. Each may read an event once.
const STEPS: u32 = 16;

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
    pub(crate) fn seen_by(&self, view: &View, now: Timestamp, step: &mut impl FnMut()) -> Seen {
        match self {
            Self::Block(block) => view.apply(block, now, step),
            Self::Round(round) => round.seen_by(view, now, step),
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
        let (view, block) = (view.clone(), block.clone());
        let look = move |mut pace: Pace| {
            shown_of(&view, &block, from, now, &mut || pace.step()).unwrap_or_default()
        };
        let Some(found) = in_turn(turns.clone(), project.clone(), look).await else { break };
        offsets.extend(found);
    }
    Shown { view: view.clone(), offsets }
}

/// Of a damaged block it is an error: who takes in what was read finds what is wrong with it.
fn shown_of(
    view: &View,
    block: &Block,
    from: Offset,
    now: Timestamp,
    step: &mut impl FnMut(),
) -> Result<Vec<Offset>, BlockError> {
    let (lines, metas) = (block.lines()?, block.metas()?);
    let (mut offsets, mut start) = (Vec::new(), 0);
    for meta in metas.iter() {
        let end = start + meta.line_len as usize;
        let line = lines.get(start..end).ok_or(BlockError::Corrupt)?;
        if meta.offset >= from && view.passes_in_steps(&meta, line, now, step) {
            offsets.push(meta.offset);
        }
        start = end;
    }
    Ok(offsets)
}

/// Does a project's work that takes long when its turn comes. It is given what it is to call after each
/// part that takes no longer than a reading of an event. `None`: no turn comes any more.
pub(crate) async fn long<T: Send + 'static>(
    turns: Arc<Turns>,
    project: ProjectId,
    work: impl FnOnce(&mut dyn FnMut()) -> T + Send + 'static,
) -> Option<T> {
    in_turn(turns, project, move |mut pace: Pace| work(&mut || pace.step())).await
}

/// The time that a look takes, on its thread.
struct Pace {
    turn: Turn,
    since: Instant,
    /// Since the last glance at the time.
    steps: u32,
}

impl Pace {
    fn step(&mut self) {
        self.steps += 1;
        if self.steps < STEPS {
            return;
        }
        self.steps = 0;
        if self.since.elapsed() >= TURN {
            self.turn.pass_on();
            self.since = Instant::now();
        }
    }
}

/// A task that is given up with whoever waits for it.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Looks when a turn of `project` comes, on a thread for such work; `None` when none comes any more.
///
/// The line is stood in by a task of its own: a reader that nobody polls, because its peer accepts no
/// bytes, would be given a turn and keep it from all others.
async fn in_turn<T: Send + 'static>(
    turns: Arc<Turns>,
    project: ProjectId,
    look: impl FnOnce(Pace) -> T + Send + 'static,
) -> Option<T> {
    let mut task = Task(tokio::spawn(async move {
        let turn = turns.take(project).await?;
        let look = move || look(Pace { turn, since: Instant::now(), steps: 0 });
        Some(tokio::task::spawn_blocking(look).await)
    }));
    match (&mut task.0).await {
        Ok(None) => None,
        Ok(Some(Ok(found))) => Some(found),
        Ok(Some(Err(failed))) | Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going away, and so is whoever waits.
            Err(_) => std::future::pending().await,
        },
    }
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
        let look = move |mut pace: Pace| sight.seen_by(&view, now, &mut || pace.step());
        let seen = async move { in_turn(turns, project, look).await.unwrap_or(Ok(None)) };
        Self { seen: Box::pin(seen), next, is_live }
    }
}
