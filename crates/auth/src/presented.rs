//! What a client presented, as the faces read it off the wire.

use std::fmt;

/// A credential as a client presented it. `Debug` hides the secret part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Presented<'a> {
    /// `Authorization: Bearer <token>`, with the project the client named (`X-UA-Appkey`), if any:
    /// the credential must then belong to that project.
    Bearer {
        /// The project the client named.
        project: Option<&'a str>,
        /// The token.
        token: &'a str,
    },
    /// `Authorization: Basic`: the user is the project (the app key), the password one of its
    /// tokens, keys or its master secret.
    Basic {
        /// The project.
        user: &'a str,
        /// The secret.
        password: &'a str,
    },
    /// A login: a user's name and password or, where no user has them, what
    /// [`Presented::Basic`] takes.
    Login {
        /// The user's name, or the project.
        user: &'a str,
        /// The secret.
        password: &'a str,
    },
}

impl Presented<'_> {
    /// The secret part.
    #[must_use]
    pub const fn secret(&self) -> &str {
        match self {
            Self::Bearer { token, .. } => token,
            Self::Basic { password, .. } | Self::Login { password, .. } => password,
        }
    }

    /// The project named, if any.
    #[must_use]
    pub const fn project(&self) -> Option<&str> {
        match self {
            Self::Bearer { project, .. } => *project,
            Self::Basic { user, .. } | Self::Login { user, .. } => Some(user),
        }
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer { project, .. } => {
                write!(f, "Bearer {{ project: {project:?}, token: .. }}")
            }
            Self::Basic { user, .. } => write!(f, "Basic {{ user: {user:?}, password: .. }}"),
            Self::Login { user, .. } => write!(f, "Login {{ user: {user:?}, password: .. }}"),
        }
    }
}
