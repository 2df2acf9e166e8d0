//! Durable changes of the catalog: one batch each, then memory, then those it concerns are told.
//!
//! Called by `hub`. Changes take turns and run as tasks of their own, so that a caller that goes
//! away in the middle cannot leave memory and disk apart.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use outflow_model::{IntegrationId, Offset, ProjectId, StreamId, StreamName};
use outflow_store::{
    AppendError, Batch, Commit, Condition, Op, Put, Retention, StateEntry, StreamConfig,
};

use super::check::{
    check_choosy, check_entities, check_integration, check_loads, check_settings, close_feed_types,
};
use super::{Tenant, cursor_prefix, record, scan};
use crate::dedup::senders;
use crate::error::{CatalogError, OpenError};
use crate::extraction::{Extractions, LOAD_STREAM};
use crate::hub::Inner;
use crate::integration::is_reserved;
use crate::keyed::sweep;
use crate::stream::{Lane, lock_orders};
use crate::{
    CloseReason, Integration, NewStream, Project, Stream, StreamSettings, cursor, subscriber,
    subscription, webhook,
};

pub(super) const MAX_NAME_BYTES: usize = 128;
pub(super) const MAX_DESCRIPTION_BYTES: usize = 1_024;
/// How many ends of deleted streams a project keeps one by one.
const MAX_ENDS: usize = 1_000;

type Changed<T> = Result<T, CatalogError>;

pub(crate) async fn create_project(
    inner: Arc<Inner>,
    mut project: Project,
) -> Changed<Arc<Project>> {
    check_text("name", &project.name, MAX_NAME_BYTES)?;
    {
        let catalog = inner.catalog.read();
        if catalog.tenants.contains_key(&project.id) {
            return Err(CatalogError::Exists);
        }
        check_room(catalog.tenants.len(), inner.options.max_projects)?;
    }
    project.created = inner.clock.now();
    let put = put(
        record::project_key(&project.id),
        Some(record::of_project(&project)),
        Condition::Absent,
    );
    commit(&inner, vec![put]).await?;
    let project = Arc::new(project);
    inner.catalog.write().tenants.insert(project.id.clone(), Tenant::new(project.clone()));
    Ok(project)
}

pub(crate) async fn update_project(
    inner: Arc<Inner>,
    mut project: Project,
) -> Changed<Arc<Project>> {
    check_text("name", &project.name, MAX_NAME_BYTES)?;
    let created = {
        let catalog = inner.catalog.read();
        catalog.tenants.get(&project.id).map(|tenant| tenant.project.created)
    };
    project.created = created.ok_or(CatalogError::NotFound)?;
    replace(&inner, record::project_key(&project.id), record::of_project(&project), None).await?;
    let project = Arc::new(project);
    if let Some(tenant) = inner.catalog.write().tenants.get_mut(&project.id) {
        tenant.project = project.clone();
    }
    Ok(project)
}

pub(crate) async fn delete_project(inner: Arc<Inner>, id: ProjectId) -> Changed<()> {
    let (streams, integrations) = {
        let catalog = inner.catalog.read();
        let tenant = catalog.tenants.get(&id).ok_or(CatalogError::NotFound)?;
        let streams = tenant.streams.values().cloned().collect::<Vec<_>>();
        (streams, tenant.integrations.keys().cloned().collect::<Vec<_>>())
    };
    let mut ops = vec![put(record::project_key(&id), None, Condition::Any)];
    for stream in &streams {
        ops.extend(drop_stream(&inner, stream).await?);
    }
    for one in integrations {
        ops.push(put(record::integration_key(&id, &one), None, Condition::Any));
        ops.extend(webhook::change::forgetting(&(id.clone(), one)));
    }
    ops.extend(subscriber::drop_all(&inner, &id).await?);
    ops.extend(subscription::follow::project_ending(&inner, &id));
    let former = scan(&*inner.engine, &record::ended_prefix(&id)).await?;
    // Last, so that all that can fail from here on is seen to.
    ops.extend(inner.subscriptions.prepared.project_ending(&id));
    ops.extend(inner.schedules.project_ending(&id));
    let (jobs, removals) = inner.extractions.stop_all(&id);
    ops.extend(removals);
    let ending = match submit_ending(&inner, &id, &streams, ops, Some(former)) {
        Ok(commit) => written(commit.await),
        Err(error) => Err(error),
    };
    if let Err(error) = ending {
        Extractions::go_on(&inner, jobs);
        inner.subscriptions.prepared.project_stays(&id);
        return Err(error);
    }
    inner.extractions.forget(&jobs);
    inner.catalog.write().tenants.remove(&id);
    subscription::follow::project_ended(&inner, &id);
    inner.subscriptions.prepared.project_ended(&id);
    inner.schedules.project_ended(&id);
    inner.subscribers.project_ended(&id);
    streams.iter().for_each(|stream| stream.lane.deleted.store(true, Ordering::Release));
    let keyed = streams.iter().filter(|stream| stream.settings.entities.is_some());
    sweep::streams(&inner, keyed.map(|stream| stream.id).collect());
    inner.registry.close(&CloseReason::Deleted, |member| member.project.as_ref() == Some(&id));
    Ok(())
}

pub(crate) async fn create_stream(
    inner: Arc<Inner>,
    project: ProjectId,
    new: NewStream,
) -> Changed<Arc<Stream>> {
    if new.name.as_str() == LOAD_STREAM {
        let reason = "name: the first extraction makes this stream";
        return Err(CatalogError::Invalid(reason.into()));
    }
    create_own_stream(inner, project, new).await
}

/// Creates a stream, also one whose name only the server gives.
pub(crate) async fn create_own_stream(
    inner: Arc<Inner>,
    project: ProjectId,
    mut new: NewStream,
) -> Changed<Arc<Stream>> {
    check_settings(&new.settings, None)?;
    check_choosy(&inner, &project, &new.name, &new.settings)?;
    close_feed_types(&mut new.settings)?;
    {
        let catalog = inner.catalog.read();
        let tenant = catalog.tenants.get(&project).ok_or(CatalogError::NotFound)?;
        if tenant.streams.contains_key(&new.name) {
            return Err(CatalogError::Exists);
        }
        check_room(tenant.streams.len(), inner.options.max_streams)?;
    }
    // The number is taken in the same batch: a stream that was not made uses none up.
    let counter = inner.engine.get(record::NEXT_STREAM).await.map_err(unavailable)?;
    let (number, condition) = match &counter {
        Some(entry) => (
            record::counter(&entry.value).map_err(unavailable)?,
            Condition::Revision(entry.revision),
        ),
        None => (1, Condition::Absent),
    };
    let following =
        number.checked_add(1).ok_or(CatalogError::TooMany { max: u32::MAX as usize })?;
    let id = StreamId(number);
    let NewStream { name, settings } = new;
    let mut begins = Offset::FIRST;
    for key in [record::ended_key(&project, &name), record::ended_prefix(&project)] {
        if let Some(entry) = inner.engine.get(&key).await.map_err(unavailable)? {
            begins = begins.max(record::ended(&entry.value).map_err(unavailable)?);
        }
    }
    let created = inner.clock.now();
    let lane = Lane::new(id);
    lane.keyed.is_keyed.store(settings.entities.is_some(), Ordering::Release);
    let stream = Stream { id, project, name, created, settings, begins, lane };
    let key = record::stream_key(&stream.project, &stream.name);
    let ops = vec![
        put(
            Bytes::from_static(record::NEXT_STREAM),
            Some(record::of_counter(following)),
            condition,
        ),
        put(key, Some(record::of_stream(&stream)), Condition::Absent),
        // From now on the stream itself tells where the next of its name begins.
        put(record::ended_key(&stream.project, &stream.name), None, Condition::Any),
        Op::SetStream(id, StreamConfig { retention: stream.settings.retention }),
    ];
    commit(&inner, ops).await?;
    let stream = Arc::new(stream);
    if let Some(tenant) = inner.catalog.write().tenants.get_mut(&stream.project) {
        tenant.streams.insert(stream.name.clone(), stream.clone());
    }
    subscription::follow::stream_made(&inner, &stream);
    Ok(stream)
}

pub(crate) async fn update_stream(
    inner: Arc<Inner>,
    project: ProjectId,
    name: StreamName,
    mut settings: StreamSettings,
) -> Changed<Arc<Stream>> {
    let old = inner.catalog.read().stream(&project, &name).ok_or(CatalogError::NotFound)?;
    check_settings(&settings, Some(&old.settings))?;
    check_loads(&name, &settings, &old.settings)?;
    close_feed_types(&mut settings)?;
    if !old.settings.is_choosy() {
        check_choosy(&inner, &project, &name, &settings)?;
    }
    check_entities(old.settings.entities.as_deref(), settings.entities.as_deref())?;
    let stream = Arc::new(Stream { settings, ..Stream::clone(&old) });
    let config = Op::SetStream(stream.id, StreamConfig { retention: stream.settings.retention });
    replace(&inner, record::stream_key(&project, &name), record::of_stream(&stream), Some(config))
        .await?;
    if stream.settings.dedup != old.settings.dedup {
        stream.lane.order.lock().reset_window();
    }
    stream.lane.keyed.is_keyed.store(stream.settings.entities.is_some(), Ordering::Release);
    if let Some(tenant) = inner.catalog.write().tenants.get_mut(&project) {
        tenant.streams.insert(name, stream.clone());
    }
    subscription::follow::stream_changed(&inner, &stream);
    Ok(stream)
}

/// Has a stream keep its events for at least `age_ms`; what it keeps for longer stays so.
pub(crate) async fn keep_stream(
    inner: Arc<Inner>,
    project: ProjectId,
    name: StreamName,
    age_ms: u64,
) -> Changed<Arc<Stream>> {
    let old = inner.catalog.read().stream(&project, &name).ok_or(CatalogError::NotFound)?;
    if old.settings.retention.age_ms >= age_ms {
        return Ok(old);
    }
    let retention = Retention { age_ms, ..old.settings.retention };
    let settings = StreamSettings { retention, ..old.settings.clone() };
    update_stream(inner, project, name, settings).await
}

pub(crate) async fn delete_stream(
    inner: Arc<Inner>,
    project: ProjectId,
    name: StreamName,
) -> Changed<()> {
    let stream = inner.catalog.read().stream(&project, &name).ok_or(CatalogError::NotFound)?;
    let mut ops = drop_stream(&inner, &stream).await?;
    ops.extend(subscription::follow::stream_ending(&inner, &stream));
    let former = scan(&*inner.engine, &record::ended_prefix(&project)).await?;
    let former = Some(former).filter(|former| former.len() >= MAX_ENDS);
    let streams = std::slice::from_ref(&stream);
    written(submit_ending(&inner, &project, streams, ops, former)?.await)?;
    if let Some(tenant) = inner.catalog.write().tenants.get_mut(&project) {
        tenant.streams.remove(&name);
    }
    stream.lane.deleted.store(true, Ordering::Release);
    inner.registry.close(&CloseReason::Deleted, |member| member.stream == Some(stream.id));
    subscription::follow::stream_ended(&inner, &stream);
    if stream.settings.entities.is_some() {
        sweep::streams(&inner, vec![stream.id]);
    }
    Ok(())
}

/// Queues `ops`, which drop `streams`, with where each of them ends. No offset that a client may
/// have seen lies above that: publishing gives offsets out and queues under the same locks, so a
/// batch is either counted here or comes behind the drop and fails.
///
/// With `former`, the ends that the project keeps already, all are replaced by the highest, so that
/// streams and projects that come and go do not leave ever more behind.
fn submit_ending(
    inner: &Inner,
    project: &ProjectId,
    streams: &[Arc<Stream>],
    mut ops: Vec<Op>,
    former: Option<Vec<StateEntry>>,
) -> Changed<Commit> {
    let mut highest = None;
    for entry in former.iter().flatten() {
        highest = highest.max(Some(record::ended(&entry.value).map_err(unavailable)?));
    }
    let orders = lock_orders(streams);
    for stream in streams {
        let Some(order) = orders.get(&stream.id) else { continue };
        let committed = stream.bounds(&*inner.engine).map_or(stream.begins, |bounds| bounds.next);
        let end = order.end(committed);
        highest = highest.max(Some(end));
        if former.is_none() {
            let key = record::ended_key(&stream.project, &stream.name);
            ops.push(put(key, Some(record::of_ended(end)), Condition::Any));
        }
    }
    if let Some(former) = former {
        ops.extend(former.into_iter().map(|entry| put(entry.key, None, Condition::Any)));
        let end = highest.map(record::of_ended);
        ops.push(put(record::ended_prefix(project), end, Condition::Any));
    }
    Ok(inner.engine.submit(Batch { ops, ..Batch::default() }))
}

/// What removes a stream with its cursors.
async fn drop_stream(inner: &Inner, stream: &Stream) -> Changed<Vec<Op>> {
    let cursors = scan(&*inner.engine, &cursor_prefix(stream.id)).await?;
    let mut ops = vec![
        put(record::stream_key(&stream.project, &stream.name), None, Condition::Any),
        Op::DropStream(stream.id),
        put(senders::key(stream.id), None, Condition::Any),
    ];
    ops.extend(cursors.into_iter().map(|entry| put(entry.key, None, Condition::Any)));
    Ok(ops)
}

pub(crate) async fn create_integration(
    inner: Arc<Inner>,
    mut one: Integration,
) -> Changed<Arc<Integration>> {
    check_integration(&one)?;
    if is_reserved(&one.id) {
        return Err(CatalogError::Invalid("id: must not begin with a dot".into()));
    }
    {
        let catalog = inner.catalog.read();
        let tenant = catalog.tenants.get(&one.project).ok_or(CatalogError::NotFound)?;
        if tenant.integrations.contains_key(&one.id) {
            return Err(CatalogError::Exists);
        }
        check_room(tenant.integrations.len(), inner.options.max_integrations)?;
    }
    one.created = inner.clock.now();
    one.webhook = None;
    let key = record::integration_key(&one.project, &one.id);
    commit(&inner, vec![put(key, Some(record::of_integration(&one)), Condition::Absent)]).await?;
    Ok(keep_integration(&inner, one))
}

/// Changes an integration. Sessions that now see too much are ended.
pub(crate) async fn update_integration(
    inner: Arc<Inner>,
    mut one: Integration,
) -> Changed<Arc<Integration>> {
    check_integration(&one)?;
    let old =
        inner.catalog.read().integration(&one.project, &one.id).ok_or(CatalogError::NotFound)?;
    one.created = old.created;
    one.webhook.clone_from(&old.webhook);
    let key = record::integration_key(&one.project, &one.id);
    replace(&inner, key, record::of_integration(&one), None).await?;
    let narrowed = narrows(&old, &one);
    let one = keep_integration(&inner, one);
    webhook::change::look_again(&inner, &one);
    if narrowed {
        // What a session may see is fixed when it begins; clients come back at once and see less.
        close_integration(&inner, &one.project, &one.id, &CloseReason::Revoked);
    }
    Ok(one)
}

pub(crate) async fn delete_integration(
    inner: Arc<Inner>,
    project: ProjectId,
    id: IntegrationId,
) -> Changed<()> {
    let streams: Vec<StreamId> = {
        let catalog = inner.catalog.read();
        let tenant = catalog.tenants.get(&project).ok_or(CatalogError::NotFound)?;
        if !tenant.integrations.contains_key(&id) {
            return Err(CatalogError::NotFound);
        }
        // The places of a reserved id are the server's.
        let streams = tenant.streams.values().filter(|_| !is_reserved(&id));
        streams.map(|stream| stream.id).collect()
    };
    let endpoint = (project.clone(), id.clone());
    if !is_reserved(&id) {
        webhook::change::forget_told(&inner, &endpoint).await?;
    }
    let mut ops = vec![put(record::integration_key(&project, &id), None, Condition::Any)];
    // Its cursors go with it: the next integration of this name must not begin at its places.
    for stream in streams {
        let cursors = scan(&*inner.engine, &cursor::space(stream, Some(&id))).await?;
        ops.extend(cursors.into_iter().map(|entry| put(entry.key, None, Condition::Any)));
    }
    ops.extend(webhook::change::forgetting(&endpoint));
    match webhook::change::subscription(&inner, &endpoint) {
        Some(place) => subscription::change::end_with(&inner, &place, ops).await?,
        None => commit(&inner, ops).await?,
    }
    if let Some(tenant) = inner.catalog.write().tenants.get_mut(&project) {
        tenant.integrations.remove(&id);
    }
    close_integration(&inner, &project, &id, &CloseReason::Deleted);
    Ok(())
}

/// Ends the sessions of an integration.
pub(crate) fn close_integration(
    inner: &Inner,
    project: &ProjectId,
    id: &IntegrationId,
    reason: &CloseReason,
) {
    inner.registry.close(reason, |member| {
        member.project.as_ref() == Some(project) && member.integration.as_ref() == Some(id)
    });
}

/// Whether `new` shows less than `old`.
fn narrows(old: &Integration, new: &Integration) -> bool {
    let fewer_types = match (&old.event_types, &new.event_types) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(old), Some(new)) => !old.is_subset(new),
    };
    fewer_types || (old.send_location && !new.send_location) || (old.compliance && !new.compliance)
}

/// Shows an integration as it is stored now.
pub(crate) fn keep_integration(inner: &Inner, one: Integration) -> Arc<Integration> {
    let one = Arc::new(one);
    if let Some(tenant) = inner.catalog.write().tenants.get_mut(&one.project) {
        tenant.integrations.insert(one.id.clone(), one.clone());
    }
    one
}

fn put(key: Bytes, value: Option<Bytes>, condition: Condition) -> Op {
    Op::Put(Put { key, value, condition })
}

/// Replaces the entry that is there, and nothing newer.
async fn replace(inner: &Inner, key: Bytes, value: Bytes, also: Option<Op>) -> Changed<()> {
    let entry = inner.engine.get(&key).await.map_err(unavailable)?.ok_or(CatalogError::NotFound)?;
    let mut ops = vec![put(key, Some(value), Condition::Revision(entry.revision))];
    ops.extend(also);
    commit(inner, ops).await
}

/// Writes a change.
pub(crate) async fn commit(inner: &Inner, ops: Vec<Op>) -> Changed<()> {
    written(inner.engine.submit(Batch { ops, ..Batch::default() }).await)
}

/// What came of writing a change.
pub(crate) fn written(result: Result<(), AppendError>) -> Changed<()> {
    match result {
        Ok(()) => Ok(()),
        Err(AppendError::Conflict) => Err(CatalogError::Conflict),
        Err(error) => Err(unavailable(error)),
    }
}

pub(crate) fn unavailable(error: impl std::fmt::Display) -> CatalogError {
    CatalogError::Unavailable(error.to_string())
}

impl From<OpenError> for CatalogError {
    fn from(error: OpenError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

fn check_room(count: usize, max: usize) -> Changed<()> {
    if count < max { Ok(()) } else { Err(CatalogError::TooMany { max }) }
}

pub(crate) fn check_text(what: &str, text: &str, max: usize) -> Changed<()> {
    if text.len() > max || text.chars().any(char::is_control) {
        return Err(CatalogError::Invalid(format!(
            "{what}: at most {max} bytes and no control characters"
        )));
    }
    Ok(())
}
