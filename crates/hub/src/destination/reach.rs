//! Who may use which destination.
//!
//! Called by `send` and `consume` before anything is looked up, and by the hub wherever a grant
//! meets a stream or a subscription. A grant that is kept to destinations reaches a stream only as
//! one of them, whatever the door.

use outflow_model::{Action, Grant, ProjectId, StreamName, SubscriptionName};

use super::{Destination, DestinationError, Kind, VirtualTopics, name};
use crate::extraction::LOAD_STREAM;
use crate::hub::Denied;
use crate::subscription::Sources;
use crate::webhook::is_of_another;

/// The project of a grant. Operators have none: destinations are a project's own affair.
pub(super) fn project(grant: &Grant) -> Result<&ProjectId, DestinationError> {
    grant.project.as_ref().ok_or(DestinationError::Forbidden)
}

/// Whether `grant` may consume from (`Read`) or send to (`Publish`) all that the destination stands
/// for. Says nothing of whether it is there.
pub(super) fn may(
    grant: &Grant,
    action: Action,
    destination: &Destination,
    rules: &VirtualTopics,
) -> Result<(), DestinationError> {
    let forbidden = Err(DestinationError::Forbidden);
    if !grant.allows(action, project(grant)?) {
        return forbidden;
    }
    if destination.kind.is_temporary() {
        return Ok(());
    }
    if !covers(grant, action, destination) {
        return forbidden;
    }
    if grant.streams.is_none() {
        return Ok(());
    }
    let fed_by = if action == Action::Read && destination.kind == Kind::Queue {
        rules.topic(&destination.name)
    } else {
        None
    };
    let topic = fed_by.map(|topic| Destination { kind: Kind::Topic, name: topic.to_owned() });
    let stream = name::of_stream(topic.as_ref().unwrap_or(destination))?;
    let is_listed = !destination.has_wildcards() && lists(grant, &stream);
    if is_listed { Ok(()) } else { forbidden }
}

/// Whether the destinations a grant is kept to, if it is, have this one among them.
fn covers(grant: &Grant, action: Action, destination: &Destination) -> bool {
    let Some(granted) = &grant.destinations else { return true };
    let kind = destination.kind.granted();
    match action {
        Action::Read => granted.consumes(kind, &destination.name),
        Action::Publish => granted.sends(kind, &destination.name),
        Action::Ingest | Action::Feed | Action::Compliance | Action::Manage | Action::Operate => {
            false
        }
    }
}

/// Whether the streams a grant is kept to, if it is, have this one among them. The loads of all keyed
/// streams are in one, which is for nobody who is kept to some: such a grant has the loads of what
/// it reaches by [`Hub::open_load`](crate::Hub::open_load).
pub(crate) fn lists(grant: &Grant, stream: &StreamName) -> bool {
    let Some(streams) = &grant.streams else { return true };
    streams.contains(stream) && stream.as_str() != LOAD_STREAM
}

/// Whether the destinations a grant is kept to have this stream among them. Temporary ones are
/// reached by whoever was told their names.
pub(crate) fn reaches_stream(grant: &Grant, action: Action, stream: &StreamName) -> bool {
    if grant.destinations.is_none() {
        return true;
    }
    if stream.as_str() == LOAD_STREAM {
        return false;
    }
    let destination = Destination::of_stream(stream);
    destination.kind.is_temporary() || covers(grant, action, &destination)
}

/// Whether `grant` may consume from a subscription: a queue by its name, others by their streams.
pub(crate) fn may_consume(
    grant: &Grant,
    project: &ProjectId,
    name: &SubscriptionName,
    sources: &Sources,
) -> Result<(), Denied> {
    if grant.actions.contains(&Action::Operate) {
        return Ok(());
    }
    if grant.project.as_ref() != Some(project) {
        return Err(Denied::NotFound);
    }
    let listed = |stream: &StreamName| lists(grant, stream);
    let own = |stream: &StreamName| reaches_stream(grant, Action::Read, stream);
    if let Sources::Streams(all) = sources
        && all.iter().any(|source| is_of_another(grant, &source.stream))
    {
        return Err(Denied::Forbidden);
    }
    let queue = name::queue(name.as_str());
    let is_kept = grant.destinations.is_some();
    let reaches = match (sources, queue) {
        _ if !grant.allows(Action::Read, project) => false,
        (_, Some(queue)) if queue.kind.is_temporary() => true,
        (_, Some(queue)) if is_kept => covers(grant, Action::Read, &queue),
        _ if is_kept && name::is_durable_of_others(name.as_str(), grant.credential.as_str()) => {
            false
        }
        // A queue is fed from its topic and by what is sent to itself: either will do.
        (Sources::Streams(all), Some(_)) => all.iter().any(|source| listed(&source.stream)),
        (Sources::Streams(all), None) => {
            all.iter().all(|source| listed(&source.stream) && own(&source.stream))
        }
        (Sources::Matching { pattern, .. }, _) => {
            let topic = |path: &str| Destination { kind: Kind::Topic, name: path.to_owned() };
            let own = |path: &str| covers(grant, Action::Read, &topic(path));
            grant.streams.is_none() && pattern.paths().all(own)
        }
    };
    if reaches { Ok(()) } else { Err(Denied::Forbidden) }
}
