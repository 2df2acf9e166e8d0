//! The credentials in force, in memory, backed by the engine's state.
//!
//! Every change is one durable batch, made by a task of its own: a caller that goes away in the
//! middle cannot leave memory and disk apart.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use outflow_model::{Action, Clock, CredentialId, Grant, IntegrationId, ProjectId, Rng};
use outflow_store::{Batch, Condition, Engine, Op, Put, StateEntry};
use parking_lot::RwLock;

use crate::access::Verified;
use crate::api_key::ring::Ring;
use crate::owner::Owners;
use crate::table::{Entry, Table};
use crate::{AuthError, Credential, CredentialKind, IssueError, Issued, NewCredential, Presented};
use crate::{api_key, jwt, record, token, user};

/// How many tokens an integration may have (reference `airship.md` 1.1).
pub const MAX_TOKENS_PER_INTEGRATION: usize = 25;
/// How many keys and master secrets a project may have, and how many operators there may be.
pub const MAX_KEYS: usize = 100;
/// The longest name of a credential, in bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// How many streams a credential may name.
pub const MAX_STREAMS: usize = 1_000;
const SCAN_PAGE: usize = 1_000;
/// How often a user's name is drawn before its project counts as full.
const NAME_DRAWS: usize = 64;

/// Is told of every revoked credential, once the revocation is durable, and below which generation
/// its grants hold no more: [`ALL_GENERATIONS`] when none does.
pub type RevokeListener = Arc<dyn Fn(&CredentialId, u32) + Send + Sync>;

/// Above every generation.
pub const ALL_GENERATIONS: u32 = u32::MAX;

/// The credentials in force. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Auth {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    table: RwLock<Table>,
    pub(crate) ring: RwLock<Ring>,
    pub(crate) verified: Verified,
    pub(crate) owners: Owners,
    /// Held by the one change under way, across its commit, so that limits hold.
    pub(crate) changes: tokio::sync::Mutex<()>,
    listeners: RwLock<Vec<RevokeListener>>,
}

impl Inner {
    /// Tells the listeners that the grants of a credential below a generation hold no more.
    pub(crate) fn tell_revoked(&self, id: &CredentialId, below: u32) {
        let listeners = self.listeners.read().clone();
        listeners.iter().for_each(|listener| listener(id, below));
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth(..)")
    }
}

impl Auth {
    /// Loads all credentials.
    ///
    /// # Errors
    /// [`AuthError`] when the engine cannot give them or one cannot be understood.
    pub async fn open(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<Self, AuthError> {
        let mut table = Table::new(nobody(&*clock, &*rng)?);
        for entry in scan(&*engine, record::PREFIX).await? {
            let (credential, hash) = record::decode(&entry.value)?;
            table.insert(Entry::new(credential, hash));
        }
        let mut unused = [0; jwt::KEY_BYTES];
        rng.fill(&mut unused);
        let mut ring = Ring::new(&unused);
        for entry in scan(&*engine, api_key::record::PREFIX).await? {
            ring.insert(api_key::record::decode(&entry.value)?);
        }
        let inner = Inner {
            engine,
            clock,
            rng,
            table: RwLock::new(table),
            ring: RwLock::new(ring),
            verified: Verified::default(),
            owners: Owners::default(),
            changes: tokio::sync::Mutex::default(),
            listeners: RwLock::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Issues a credential with a new random secret. It is durable when this returns; the secret
    /// is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn issue(&self, new: NewCredential) -> Result<Issued, IssueError> {
        check(&new)?;
        let (id, secret) = token::draw(&*self.inner.rng);
        let id = CredentialId::new(&id)
            .map_err(|_| IssueError::Invalid("the id drawn is not a name"))?;
        if new.kind == CredentialKind::User {
            return self.issue_user(id, new).await;
        }
        let credential = self.add(id, new, secret.expose(), Condition::Absent).await?;
        Ok(Issued { credential, secret })
    }

    /// A user gets a password of its own form and, when it brings none, a name.
    async fn issue_user(&self, id: CredentialId, new: NewCredential) -> Result<Issued, IssueError> {
        let secret = token::draw_password(&*self.inner.rng);
        if new.user.is_some() {
            let credential = self.add(id, new, secret.expose(), Condition::Absent).await?;
            return Ok(Issued { credential, secret });
        }
        for _ in 0..NAME_DRAWS {
            let drawn = Some(token::draw_user(&*self.inner.rng));
            let new = NewCredential { user: drawn, ..new.clone() };
            match self.add(id.clone(), new, secret.expose(), Condition::Absent).await {
                Err(IssueError::Exists) => {}
                added => return added.map(|credential| Issued { credential, secret }),
            }
        }
        Err(IssueError::Exists)
    }

    /// Issues a credential with a secret of the caller's choice: for the well-known credentials of
    /// a demonstration only. Doing it again changes nothing but the settings.
    ///
    /// # Errors
    /// [`IssueError`].
    pub async fn issue_fixed(
        &self,
        new: NewCredential,
        secret: &str,
    ) -> Result<Credential, IssueError> {
        check(&new)?;
        if secret.is_empty() || secret.len() > token::MAX_SECRET_BYTES {
            return Err(IssueError::Invalid("the secret must have 1 to 8192 bytes"));
        }
        if new.kind == CredentialKind::User && new.user.is_none() {
            return Err(IssueError::Invalid("a user with a fixed password has a fixed name"));
        }
        let id = fixed_id(&new)?;
        let hash = token::hash(secret);
        if let Some(entry) = self.inner.table.read().get(&id)
            && entry.hash == hash
            && is_same(&entry.credential, &new)
        {
            return Ok(entry.credential.clone());
        }
        self.add(id, new, secret, Condition::Any).await
    }

    async fn add(
        &self,
        id: CredentialId,
        new: NewCredential,
        secret: &str,
        condition: Condition,
    ) -> Result<Credential, IssueError> {
        let credential = Credential {
            id,
            kind: new.kind,
            name: new.name,
            project: new.project,
            integration: new.integration,
            actions: new.actions,
            streams: new.streams,
            user: new.user,
            destinations: new.destinations,
            created: self.inner.clock.now(),
            expires: new.expires,
            last4: token::last4(secret),
        };
        let (inner, hash) = (self.inner.clone(), token::hash(secret));
        detached(async move {
            let _turn = inner.changes.lock().await;
            if let Some(project) = &credential.project {
                inner.owners.check(project, credential.integration.as_ref())?;
            }
            check_room(&inner.table.read(), &credential)?;
            let value = record::encode(&credential, &hash)?;
            let put = Put { key: record::key(&credential.id), value: Some(value), condition };
            let batch = Batch { ops: vec![Op::Put(put)], ..Batch::default() };
            inner.engine.submit(batch).await.map_err(AuthError::from)?;
            inner.table.write().insert(Entry::new(credential.clone(), hash));
            Ok(credential)
        })
        .await
    }

    /// Revokes a credential: durable first, then out of force, then the listeners are told. Says
    /// whether there was one.
    ///
    /// # Errors
    /// [`AuthError`]; the credential is then still in force.
    pub async fn revoke(&self, id: &CredentialId) -> Result<bool, AuthError> {
        let id = id.clone();
        let revoked = self.revoke_where(move |credential| credential.id == id).await?;
        Ok(revoked > 0)
    }

    /// Revokes all credentials of a project, its webhooks' secrets and API keys first, or all of one of its
    /// integrations.
    /// Says how many there were.
    ///
    /// # Errors
    /// [`AuthError`]; some of them may then still be in force.
    pub async fn revoke_all(
        &self,
        project: &ProjectId,
        integration: Option<&IntegrationId>,
    ) -> Result<usize, AuthError> {
        let (project, integration) = (project.clone(), integration.cloned());
        // What was being issued is there now.
        drop(self.inner.changes.lock().await);
        let keys = if integration.is_none() { self.api_keys(&project) } else { Vec::new() };
        self.forget_webhooks(&project, integration.as_ref()).await?;
        let mut revoked = 0;
        for key in keys {
            revoked += usize::from(self.delete_api_key(&project, &key.id).await?);
        }
        let others = self.revoke_where(move |credential| {
            let of_integration = integration.is_none() || credential.integration == integration;
            credential.project.as_ref() == Some(&project) && of_integration
        });
        Ok(revoked + others.await?)
    }

    async fn revoke_where(
        &self,
        which: impl Fn(&Credential) -> bool + Send + 'static,
    ) -> Result<usize, AuthError> {
        let inner = self.inner.clone();
        detached(async move {
            let _turn = inner.changes.lock().await;
            let ids = {
                let table = inner.table.read();
                table.iter().filter(|one| which(one)).map(|one| one.id.clone()).collect::<Vec<_>>()
            };
            if ids.is_empty() {
                return Ok(0);
            }
            let absent =
                |id| Op::Put(Put { key: record::key(id), value: None, condition: Condition::Any });
            let batch = Batch { ops: ids.iter().map(absent).collect(), ..Batch::default() };
            inner.engine.submit(batch).await?;
            let mut table = inner.table.write();
            // Sessions go by the name of one credential and by the rights of all with its secret.
            let told: BTreeSet<_> = ids.iter().flat_map(|id| table.sharing(id)).collect();
            ids.iter().for_each(|id| table.remove(id));
            drop(table);
            told.iter().for_each(|id| inner.tell_revoked(id, ALL_GENERATIONS));
            Ok(ids.len())
        })
        .await
    }

    /// The credentials of a project, of one of its integrations, or all there are.
    #[must_use]
    pub fn list(
        &self,
        project: Option<&ProjectId>,
        integration: Option<&IntegrationId>,
    ) -> Vec<Credential> {
        let table = self.inner.table.read();
        let of_project = |one: &&Credential| project.is_none() || one.project.as_ref() == project;
        let of_integration =
            |one: &&Credential| integration.is_none() || one.integration.as_ref() == integration;
        table.iter().filter(of_project).filter(of_integration).cloned().collect()
    }

    /// What the holder of `presented` may do; `None` when it opens nothing: wrong, unknown, expired,
    /// revoked and foreign are not told apart, neither by the answer nor by its time.
    #[must_use]
    pub fn authenticate(&self, presented: &Presented<'_>) -> Option<Grant> {
        let secret = presented.secret();
        if jwt::is_like(secret) {
            return self.open_with_token(secret, presented.project());
        }
        // Longer ones were not issued here; hashing them in full would be work for nothing.
        let hash = token::hash(secret.get(..token::MAX_SECRET_BYTES).unwrap_or(secret));
        let exact = !matches!(presented, Presented::Bearer { .. });
        let now = self.inner.clock.now();
        let table = self.inner.table.read();
        let other = table.grant(&hash, presented.project(), exact, now);
        // Both are always looked for, so that the time says nothing of which was there.
        match presented {
            Presented::Login { user, .. } => table.user(user, &hash, now).or(other),
            Presented::Bearer { .. } | Presented::Basic { .. } => other,
        }
    }

    /// Adds a listener that is told of every revoked credential.
    pub fn on_revoke(&self, listener: RevokeListener) {
        self.inner.listeners.write().push(listener);
    }
}

/// All entries under `prefix`.
pub(crate) async fn scan(engine: &dyn Engine, prefix: &[u8]) -> Result<Vec<StateEntry>, AuthError> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = engine.scan(prefix, after.as_deref(), SCAN_PAGE).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(last.key.clone());
        all.extend(page);
    }
}

/// Runs a change to its end even when its caller goes away.
pub(crate) async fn detached<T: Send + 'static, E: From<AuthError> + Send + 'static>(
    change: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E> {
    match tokio::spawn(change).await {
        Ok(result) => result,
        Err(_) => Err(AuthError::Unavailable("the change was cut short".into()).into()),
    }
}

/// Compared with secrets that are not there. Its own secret is dropped here, so nobody has it.
fn nobody(clock: &dyn Clock, rng: &dyn Rng) -> Result<Entry, AuthError> {
    let (id, secret) = token::draw(rng);
    let corrupt = |_| AuthError::Corrupt("bad name".into());
    let credential = Credential {
        id: CredentialId::new(&id).map_err(corrupt)?,
        kind: CredentialKind::Token,
        name: String::new(),
        project: Some(ProjectId::new(&id).map_err(corrupt)?),
        integration: None,
        actions: Default::default(),
        streams: None,
        user: None,
        destinations: None,
        created: clock.now(),
        expires: None,
        last4: String::new(),
    };
    Ok(Entry::new(credential, token::hash(secret.expose())))
}

fn check(new: &NewCredential) -> Result<(), IssueError> {
    let invalid = |reason| Err(IssueError::Invalid(reason));
    if new.name.len() > MAX_NAME_BYTES {
        return invalid("the name may have at most 128 bytes");
    }
    if new.actions.is_empty() {
        return invalid("at least one action is needed");
    }
    if new.streams.as_ref().is_some_and(|streams| streams.len() > MAX_STREAMS) {
        return invalid("at most 1000 streams may be named");
    }
    let operates = new.actions.contains(&Action::Operate);
    if operates != (new.kind == CredentialKind::Operator) {
        return invalid("operators, and only they, may operate");
    }
    let is_user = new.kind == CredentialKind::User;
    if !is_user && (new.user.is_some() || new.destinations.is_some()) {
        return invalid("only a user has a name to log in with and destinations");
    }
    match (new.kind, &new.project, &new.integration) {
        (CredentialKind::User, Some(_), None) => user::check(new),
        (CredentialKind::Operator, None, None)
        | (CredentialKind::Token, Some(_), Some(_))
        | (CredentialKind::Key, Some(_), _)
        | (CredentialKind::Master, Some(_), None) => Ok(()),
        (CredentialKind::Operator, ..) => invalid("an operator belongs to no project"),
        (CredentialKind::Token, ..) => invalid("a token belongs to an integration of a project"),
        (CredentialKind::Key, ..) => invalid("a key belongs to a project"),
        (CredentialKind::User, ..) => invalid("a user belongs to a project"),
        (CredentialKind::Master, ..) => invalid("a master secret belongs to a project"),
    }
}

/// Expired credentials count until they are revoked: they are still listed.
fn check_room(table: &Table, new: &Credential) -> Result<(), IssueError> {
    // Kinds that share a limit share its count.
    let class = |kind: CredentialKind| match kind {
        CredentialKind::Token => MAX_TOKENS_PER_INTEGRATION,
        CredentialKind::User => user::MAX_USERS,
        CredentialKind::Key | CredentialKind::Master | CredentialKind::Operator => MAX_KEYS,
    };
    let max = class(new.kind);
    let is_token = new.kind == CredentialKind::Token;
    let same = |one: &&Credential| {
        let alike = class(one.kind) == max && one.project == new.project;
        alike && one.id != new.id && (!is_token || one.integration == new.integration)
    };
    if new.user.is_some() && table.iter().filter(same).any(|one| one.user == new.user) {
        return Err(IssueError::Exists);
    }
    if table.iter().filter(same).count() >= max {
        return Err(IssueError::TooMany { max });
    }
    Ok(())
}

/// The id of a fixed credential says what it is for and nothing of its secret.
fn fixed_id(new: &NewCredential) -> Result<CredentialId, IssueError> {
    let project = new.project.as_ref().map_or("", ProjectId::as_str);
    let integration = new.integration.as_ref().map_or("", IntegrationId::as_str);
    let name = new.user.as_ref().unwrap_or(&new.name);
    let hash = token::hash(&format!("{}/{project}/{integration}/{name}", new.kind.as_str()));
    let hex = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>();
    CredentialId::new(&format!("fixed-{hex}"))
        .map_err(|_| IssueError::Invalid("the id is not a name"))
}

fn is_same(credential: &Credential, new: &NewCredential) -> bool {
    credential.actions == new.actions
        && credential.streams == new.streams
        && credential.user == new.user
        && credential.destinations == new.destinations
        && credential.expires == new.expires
}
