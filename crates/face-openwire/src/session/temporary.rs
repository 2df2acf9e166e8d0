//! DestinationInfo: temporary destinations, which their connection makes and removes. All others
//! are made when they are first used.

use outflow_broker::Part;
use outflow_hub::destination::Destination;
use outflow_model::ErrorCode;

use super::live::Owner;
use super::{Asked, Outbox, Outcomes, Session, Step, Work};
use crate::error::Failure;
use crate::translate::destination;
use crate::wire::DestinationInfo;

impl Session {
    pub(super) fn destination(&mut self, info: &DestinationInfo, asked: Asked) -> Outcomes {
        let Some(wire) = &info.destination else {
            return Err(Failure::malformed("A destination needs a name"));
        };
        let mut all = destination::read(wire)?;
        let (Some(one), true) = (all.pop(), all.is_empty()) else {
            return Err(Failure::malformed("One destination is made or removed at a time"));
        };
        let is_own = destination::is_own(&one, self.connection());
        match info.operation_type {
            0 if !one.kind.is_temporary() => {
                self.batch.answers.add(asked, Part::Ready);
                Ok(Step::Done)
            }
            0 if is_own => {
                let max = self.face.options.max_temporary;
                if self.temporary.len() >= max && !self.temporary.contains(&one) {
                    let message =
                        format!("A connection may have at most {max} temporary destinations");
                    return Err(Failure::new(ErrorCode::TooLarge, message));
                }
                Ok(Step::Then(Work::Make { destination: one, asked }))
            }
            1 if is_own => {
                self.targets.forget();
                Ok(Step::Then(Work::Unmake { destination: one, asked }))
            }
            _ => {
                let message = format!("The connection may neither make nor remove {one}");
                Err(Failure::new(ErrorCode::Forbidden, message))
            }
        }
    }

    /// A temporary destination is there: who watches is told.
    pub(super) fn made(
        &mut self,
        destination: Destination,
        result: Result<(), Failure>,
        asked: &Asked,
        out: &mut Outbox,
    ) -> Step {
        if result.is_ok() {
            if let Some(opened) = &self.opened {
                let owner = Owner::of(&opened.grant);
                self.face.live.add(&owner, &opened.connection, &destination);
            }
            if !self.temporary.contains(&destination) {
                self.temporary.push(destination);
            }
        }
        self.answer(result, asked, out)
    }

    /// A temporary destination is gone, unless its removal failed: then it is at the connection's
    /// end that it goes.
    pub(super) fn unmade(
        &mut self,
        destination: &Destination,
        result: Result<(), Failure>,
        asked: &Asked,
        out: &mut Outbox,
    ) -> Step {
        if result.is_ok() {
            self.temporary.retain(|known| known != destination);
            self.untell(destination);
        }
        self.answer(result, asked, out)
    }

    fn untell(&self, destination: &Destination) {
        if let Some(opened) = &self.opened {
            let owner = Owner::of(&opened.grant);
            self.face.live.remove(&owner, &opened.connection, destination);
        }
    }

    /// The temporary destinations it has, to be dropped at its end.
    pub(super) fn take_all_temporary(&mut self) -> Vec<Destination> {
        self.depart();
        let all = std::mem::take(&mut self.temporary);
        all.iter().for_each(|one| self.untell(one));
        all
    }
}
