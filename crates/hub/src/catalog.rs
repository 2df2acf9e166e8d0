//! The catalog in memory: what every request looks up.
//!
//! Called by `hub`; filled from the engine's state when the hub opens, and changed by `change` once
//! a change is durable. `record` knows the stored form.

pub(crate) mod change;
mod check;
pub(crate) mod record;
mod seen;
pub(crate) mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use outflow_model::{IntegrationId, ProjectId, StreamId, StreamName};
use outflow_store::{Engine, StateEntry};

use crate::{Integration, OpenError, Project, Stream};

/// How many entries are asked of the engine at once.
pub(crate) const SCAN_PAGE: usize = 1_000;

/// A project with what belongs to it.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) project: Arc<Project>,
    pub(crate) streams: BTreeMap<StreamName, Arc<Stream>>,
    pub(crate) integrations: BTreeMap<IntegrationId, Arc<Integration>>,
}

impl Tenant {
    /// A project that has nothing yet.
    pub(crate) fn new(project: Arc<Project>) -> Self {
        Self { project, streams: BTreeMap::new(), integrations: BTreeMap::new() }
    }
}

/// All tenants. Looked up under a read lock for moments, never across a wait.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) tenants: BTreeMap<ProjectId, Tenant>,
}

impl Catalog {
    /// Reads the catalog from the engine's state.
    pub(crate) async fn load(engine: &dyn Engine) -> Result<Self, OpenError> {
        let mut catalog = Self::default();
        for entry in scan(engine, record::PROJECTS).await? {
            let project =
                Arc::new(record::project(&entry.value).map_err(|error| corrupt(&entry, &error))?);
            catalog.tenants.insert(project.id.clone(), Tenant::new(project));
        }
        for entry in scan(engine, record::STREAMS).await? {
            let stream = record::stream(&entry.value).map_err(|error| corrupt(&entry, &error))?;
            stream.lane.keyed.is_keyed.store(stream.settings.entities.is_some(), Ordering::Release);
            if engine.bounds(stream.id).is_err() {
                return Err(corrupt(&entry, "the engine has no such stream"));
            }
            let tenant = catalog.tenants.get_mut(&stream.project);
            let tenant = tenant.ok_or_else(|| corrupt(&entry, "its project is missing"))?;
            tenant.streams.insert(stream.name.clone(), Arc::new(stream));
        }
        for entry in scan(engine, record::INTEGRATIONS).await? {
            let one = record::integration(&entry.value).map_err(|error| corrupt(&entry, &error))?;
            let tenant = catalog.tenants.get_mut(&one.project);
            let tenant = tenant.ok_or_else(|| corrupt(&entry, "its project is missing"))?;
            tenant.integrations.insert(one.id.clone(), Arc::new(one));
        }
        Ok(catalog)
    }

    /// A stream by name.
    pub(crate) fn stream(&self, project: &ProjectId, name: &StreamName) -> Option<Arc<Stream>> {
        self.tenants.get(project)?.streams.get(name).cloned()
    }

    /// A stream by number, if it still is in its project.
    pub(crate) fn has(&self, stream: &Stream) -> bool {
        let found =
            self.tenants.get(&stream.project).and_then(|tenant| tenant.streams.get(&stream.name));
        found.is_some_and(|found| found.id == stream.id)
    }

    /// An integration.
    pub(crate) fn integration(
        &self,
        project: &ProjectId,
        id: &IntegrationId,
    ) -> Option<Arc<Integration>> {
        self.tenants.get(project)?.integrations.get(id).cloned()
    }
}

/// All entries under `prefix`.
pub(crate) async fn scan(engine: &dyn Engine, prefix: &[u8]) -> Result<Vec<StateEntry>, OpenError> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = engine.scan(prefix, after.as_deref(), SCAN_PAGE).await;
        let page = page.map_err(|error| OpenError::Unavailable(error.to_string()))?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(last.key.clone());
        all.extend(page);
    }
}

/// The key of everything kept for a stream's cursors.
pub(crate) fn cursor_prefix(stream: StreamId) -> Vec<u8> {
    format!("cursor/{}/", stream.0).into_bytes()
}

fn corrupt(entry: &StateEntry, reason: &str) -> OpenError {
    OpenError::Corrupt(format!("`{}`: {reason}", String::from_utf8_lossy(&entry.key)))
}
