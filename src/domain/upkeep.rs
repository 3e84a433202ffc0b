//! What happened, what is over, and the very first user.

use std::sync::Arc;
use std::time::Duration;

use super::authority::Need;
use super::caller::{Caller, Intent};
use super::calls::{ListAudit, Origin, Page, Wait};
use super::core::Core;
use super::error::Error;
use super::identity::{
    Generation, Realm, Role, RoleId, RoleName, User, UserId, UserState, Username,
};
use super::password::Password;
use super::permission::Permission;
use super::store::{
    Actor, Audit, AuditEvent, AuditQuery, Bootstrapped, More, NewUser, Purge, Purged,
};

const PURGE: &str = "maintenance:purge";
const FENCE: &str = "maintenance:fence";

/// How many rows of each sort one transaction removes at most.
const BATCH: u32 = 500;
/// After a batch, nothing is removed for so many times as long as it took: a busy service always
/// has more to remove, and its calls must not feel it.
const REST: u32 = 7;
/// No rest, for whoever asks for it to be done now.
const NO_REST: u32 = 0;
/// How soon it is tried again where another replica is at it.
const TURN: Duration = Duration::from_millis(100);
/// How long a run goes on: a caller waits for it.
const RUN: Duration = Duration::from_secs(5);

impl Core {
    /// Lists events, newest first.
    ///
    /// # Errors
    /// [`Error::PermissionMissing`], [`Error::Invalid`], [`Error::Unavailable`]; what proves the
    /// caller.
    pub async fn list_audit(
        &self,
        origin: &Origin,
        request: ListAudit,
    ) -> Result<Page<AuditEvent>, Error> {
        let ListAudit { realm, user, page } = request;
        let user = match user.as_str() {
            "" => None,
            id => Some(UserId::parse(id).map_err(|fault| Error::field("user_id", fault))?),
        };
        let caller = self.caller(origin).await?;
        caller.need("audit:read")?;
        let realm = match (realm.as_str(), caller.user()) {
            ("", Some(own)) if !caller.reaches_all() => Some(own.realm.clone()),
            ("", _) => None,
            (name, _) => Some(self.settings.profiles.realm(name)?),
        };
        if let Some(realm) = &realm {
            caller.need_in(realm, "audit:read")?;
        }
        let scope = format!("audit {realm:?} {user:?}");
        let start = self.read_page(&page, &scope)?;
        let before = start.after.as_deref().and_then(|id| id.parse().ok());
        let query = AuditQuery { realm, user, before, limit: start.limit() };
        let found = self.store.list_audit(&query).await?;
        self.page(found, &start, &scope, |event| event.id.to_string())
    }

    /// Removes what is dead, on request, for some seconds. Answers what, and whether there may be
    /// more.
    ///
    /// # Errors
    /// [`Error::PermissionMissing`], [`Error::Unavailable`]; what proves the caller.
    pub async fn purge(&self, origin: &Origin) -> Result<(Purged, More), Error> {
        let caller = self.caller(origin).await?;
        caller.need_in(&Realm::default(), PURGE)?;
        let purged = self.remove(NO_REST, Some((origin, &caller))).await?;
        let intent = Intent::new("maintenance.purge", &Realm::default(), &"", vec![]);
        self.store.insert_audit(&self.order(&caller, origin, intent).audit).await?;
        Ok(purged)
    }

    /// Removes what is dead, for some seconds, so that others hardly feel it. Answers whether there
    /// may be more.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn remove_dead(&self) -> Result<More, Error> {
        let (_, more) = self.remove(REST, None).await?;
        Ok(more)
    }

    /// Removes what is dead in small batches, with a rest after each, for as long as whoever asked
    /// for it may.
    async fn remove(
        &self,
        rest: u32,
        asked_by: Option<(&Origin, &Caller)>,
    ) -> Result<(Purged, More), Error> {
        let end = self.clock.instant().plus(RUN);
        let mut all = Purged::default();
        let more = loop {
            if let Some((origin, caller)) = asked_by {
                let caller = self.caller_now(origin, caller.clone()).await?;
                caller.need_in(&Realm::default(), PURGE)?;
            }
            let began = self.clock.instant();
            let purge = Purge {
                now: self.now(),
                audit_retention: self.settings.audit_retention,
                failure_memory: self.settings.longest_memory(),
                longest_jwt: self.settings.longest_jwt(),
                longest_signed: self.settings.longest_signed(),
                limit: BATCH,
            };
            let batch = match self.store.purge(purge).await? {
                Some(batch) if batch == Purged::default() => break More::No,
                Some(batch) => batch,
                None => {
                    self.clock.sleep(TURN).await;
                    Purged::default()
                }
            };
            all.add(batch);
            let now = self.clock.instant();
            if now >= end {
                break More::Perhaps;
            }
            let took = now.since_start().saturating_sub(began.since_start());
            self.clock.sleep(took.saturating_mul(rest)).await;
        };
        metrics::counter!("tokend_purges_total").increment(1);
        Ok((all, more))
    }

    /// Ends every grant and token that there is: after a backup was restored, which may hold as
    /// good what was revoked since. Answers how many users there are.
    ///
    /// # Errors
    /// [`Error::PermissionMissing`], [`Error::Unavailable`]; what proves the caller.
    pub async fn fence(&self, origin: &Origin, wait: Wait) -> Result<u64, Error> {
        let caller = self.caller(origin).await?;
        caller.need_in(&Realm::default(), FENCE)?;
        let needs = vec![Need::permission(FENCE, &Realm::default())];
        let intent = Intent::new("maintenance.fence", &Realm::default(), &"", needs);
        let order = self.order(&caller, origin, intent);
        let store = Arc::clone(&self.store);
        self.knowledge.commit(wait, async move { store.fence(&order).await }).await
    }

    /// Makes the first user, who may do everything, on a database that has no user yet. Answers
    /// their id; `None`: there are users already.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that no new user may have; [`Error::Unavailable`],
    /// [`Error::Internal`].
    pub async fn bootstrap(
        &self,
        username: Username,
        password: Password,
    ) -> Result<Option<UserId>, Error> {
        // A hash costs more than all else at a start.
        if self.store.has_users().await? {
            return Ok(None);
        }
        username.check_new().map_err(|fault| Error::field("bootstrap.username", fault))?;
        let now = self.now();
        let all = Permission::parse("*").map_err(Error::internal)?;
        let role = Role {
            id: RoleId(self.random.uuid(now)?),
            realm: Realm::default(),
            name: RoleName::parse("admin").map_err(Error::internal)?,
            description: "May do everything".to_owned(),
            permissions: [all].into_iter().collect(),
        };
        let id = UserId(self.random.uuid(now)?);
        let user = User {
            id,
            realm: Realm::default(),
            username: username.as_str().to_owned(),
            display_name: "The first user".to_owned(),
            state: UserState::Active,
            generation: Generation(1),
            roles: [role.id].into(),
            created_at: now,
            updated_at: now,
        };
        let origin = Origin { address: None, credential: super::calls::Credential::Operator };
        let password_hash = Some(self.hash_password(&origin, password).await?);
        let audit = Audit {
            realm: Some(Realm::default()),
            target: id.to_string(),
            ..self.audit("service.bootstrap", Actor::Service, None)
        };
        let admin = NewUser { user, username, password_hash };
        let store = Arc::clone(&self.store);
        let made = self
            .knowledge
            .commit(Wait::Skip, async move { store.bootstrap(&admin, &role, &audit).await })
            .await?;
        match made {
            Bootstrapped::Done => Ok(Some(id)),
            Bootstrapped::HasUsers => Ok(None),
        }
    }
}

impl Purged {
    /// Adds what one batch has removed, and counts it.
    fn add(&mut self, batch: Self) {
        let Self {
            tokens,
            grants,
            revocations,
            changes,
            audit_events,
            attempts,
            networks,
            keys,
            dated,
        } = batch;
        self.dated += dated;
        for (sort, sum, count) in [
            ("token", &mut self.tokens, tokens),
            ("grant", &mut self.grants, grants),
            ("revocation", &mut self.revocations, revocations),
            ("change", &mut self.changes, changes),
            ("audit_event", &mut self.audit_events, audit_events),
            ("attempt", &mut self.attempts, attempts),
            ("network", &mut self.networks, networks),
            ("key", &mut self.keys, keys),
        ] {
            *sum += count;
            metrics::counter!("tokend_purged_rows_total", "sort" => sort).increment(count);
        }
    }
}
