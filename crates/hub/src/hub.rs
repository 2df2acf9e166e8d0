//! The one API that every face calls.

use std::sync::Arc;
use std::time::Duration;

use outflow_model::draft::Rules;
use outflow_model::{Clock, CredentialId, Draft, Grant, IntegrationId, Offset, ProjectId, Rng, StreamName};
use outflow_store::{Engine, Health};
use prometheus_client::registry::Registry;

use crate::error::{CatalogError, OpenError, PublishError, ReadError};
use crate::{Cursor, Integration, NewStream, Options, Project, ReadRequest, ReadSession, Receipt, Stream, StreamSettings, StreamStats};

/// The one API that every face calls. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Hub;

type Catalog<T> = Result<T, CatalogError>;

#[allow(unused_variables, missing_docs, clippy::all)]
impl Hub {
    pub async fn open(engine: Arc<dyn Engine>, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>, options: Options, registry: &mut Registry) -> Result<Self, OpenError> { todo!() }
    pub fn projects(&self) -> Vec<Arc<Project>> { todo!() }
    pub fn project(&self, id: &ProjectId) -> Option<Arc<Project>> { todo!() }
    pub async fn create_project(&self, project: Project) -> Catalog<Arc<Project>> { todo!() }
    pub async fn update_project(&self, project: Project) -> Catalog<Arc<Project>> { todo!() }
    pub async fn delete_project(&self, id: &ProjectId) -> Catalog<()> { todo!() }
    pub fn streams(&self, project: &ProjectId) -> Vec<Arc<Stream>> { todo!() }
    pub fn stream(&self, project: &ProjectId, name: &StreamName) -> Option<Arc<Stream>> { todo!() }
    pub async fn create_stream(&self, project: &ProjectId, new: NewStream) -> Catalog<Arc<Stream>> { todo!() }
    pub async fn update_stream(&self, project: &ProjectId, name: &StreamName, settings: StreamSettings) -> Catalog<Arc<Stream>> { todo!() }
    pub async fn delete_stream(&self, project: &ProjectId, name: &StreamName) -> Catalog<()> { todo!() }
    pub fn integrations(&self, project: &ProjectId) -> Vec<Arc<Integration>> { todo!() }
    pub fn integration(&self, project: &ProjectId, id: &IntegrationId) -> Option<Arc<Integration>> { todo!() }
    pub async fn create_integration(&self, integration: Integration) -> Catalog<Arc<Integration>> { todo!() }
    pub async fn update_integration(&self, integration: Integration) -> Catalog<Arc<Integration>> { todo!() }
    pub async fn delete_integration(&self, project: &ProjectId, id: &IntegrationId) -> Catalog<()> { todo!() }
    pub fn rules(&self) -> Rules { todo!() }
    pub fn rng(&self) -> &dyn Rng { todo!() }
    pub fn clock(&self) -> &dyn Clock { todo!() }
    pub async fn publish(&self, grant: &Grant, stream: &Stream, draft: Draft) -> Result<Receipt, PublishError> { todo!() }
    pub async fn open_read(&self, grant: &Grant, request: ReadRequest) -> Result<ReadSession, ReadError> { todo!() }
    pub async fn cursor(&self, stream: &Stream, name: &str) -> Catalog<Option<Offset>> { todo!() }
    pub async fn cursors(&self, stream: &Stream) -> Catalog<Vec<Cursor>> { todo!() }
    pub async fn set_cursor(&self, stream: &Stream, name: &str, offset: Offset) -> Catalog<()> { todo!() }
    pub async fn delete_cursor(&self, stream: &Stream, name: &str) -> Catalog<bool> { todo!() }
    pub fn close_credential(&self, credential: &CredentialId) { todo!() }
    pub fn close_integration(&self, project: &ProjectId, integration: &IntegrationId) { todo!() }
    pub fn drain(&self, within: Duration) { todo!() }
    pub fn is_draining(&self) -> bool { todo!() }
    pub fn health(&self) -> Health { todo!() }
    pub fn stats(&self, stream: &Stream) -> StreamStats { todo!() }
}
