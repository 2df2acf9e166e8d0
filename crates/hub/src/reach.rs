//! Whether a caller reaches the project or the stream that it names.
//!
//! Called by `admin` and by faces whose paths name a project and a stream, before anything else of
//! a request is looked at. Invariant: what is not the caller's is answered exactly as what does not
//! exist, so that names of others cannot be guessed.

use std::sync::Arc;

use outflow_model::{Action, ErrorCode, Grant, ProjectId, StreamName};

use crate::destination::lists;
use crate::hub::Hub;
use crate::project::Project;
use crate::stream::Stream;

/// Why it is not there for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// The project does not exist or is someone else's.
    #[error("there is no such project")]
    Project,
    /// The stream does not exist or is not among those of the credential.
    #[error("there is no such stream")]
    Stream,
    /// It is the caller's, who may not do this.
    #[error("the credential does not allow this")]
    Forbidden,
}

impl Unreached {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Project | Self::Stream => ErrorCode::NotFound,
            Self::Forbidden => ErrorCode::Forbidden,
        }
    }
}

impl Hub {
    /// The project, if the caller may do `action` in it. Operators reach all of them.
    ///
    /// # Errors
    /// [`Unreached`].
    pub fn project_for(
        &self,
        grant: &Grant,
        name: &str,
        action: Action,
    ) -> Result<Arc<Project>, Unreached> {
        let id = ProjectId::new(name).map_err(|_| Unreached::Project)?;
        let is_operator = grant.actions.contains(&Action::Operate);
        if !is_operator && grant.project.as_ref() != Some(&id) {
            return Err(Unreached::Project);
        }
        let project = self.project(&id).ok_or(Unreached::Project)?;
        if grant.allows(action, &id) { Ok(project) } else { Err(Unreached::Forbidden) }
    }

    /// The stream, if the caller may do `action` on it. Streams that the credential is not made
    /// for do not exist for it.
    ///
    /// # Errors
    /// [`Unreached`].
    pub fn stream_for(
        &self,
        grant: &Grant,
        project: &str,
        name: &str,
        action: Action,
    ) -> Result<Arc<Stream>, Unreached> {
        // The usual case: one look-up, and no name is copied.
        if let Some(stream) = self.stream_named(project, name)
            && grant.allows(action, &stream.project)
            && lists(grant, &stream.name)
        {
            return Ok(stream);
        }
        // Something is in the way: what, is said in the order that betrays nothing.
        let project = self.project_for(grant, project, action)?;
        let name = StreamName::new(name).map_err(|_| Unreached::Stream)?;
        if !lists(grant, &name) {
            return Err(Unreached::Stream);
        }
        self.stream(&project.id, &name).ok_or(Unreached::Stream)
    }
}
