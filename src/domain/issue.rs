//! `CreateToken`: a sign-in, or a token made from one.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::accepted::Accepted;
use super::authority::Need;
use super::caller::{Caller, Intent};
use super::calls::{
    CreateFor, CreateToken, Created, Credential, Lifetime, Origin, PasswordCredential, Wait,
};
use super::clock::Timestamp;
use super::core::Core;
use super::error::{Error, Faults};
use super::identity::{Generation, Realm, RoleName, User, UserState, parse_text};
use super::lifetime;
use super::mint::{Draft, Made};
use super::profile::{Life, Profile, RefreshPolicy};
use super::sign_in::{CredentialPlace, PasswordCheck};
use super::store::NewTokens;
use super::token::{Grant, GrantId, RoleChoice, TokenId, TokenKind};

const CREATE: &str = "token:create";

/// The most roles of a user or a token: a JWT carries those that were chosen for it.
const MOST_ROLES: usize = 64;

/// A request that was read.
struct Wish {
    profile: Arc<Profile>,
    display_name: String,
    lifetime: Lifetime,
    roles: Option<BTreeSet<RoleName>>,
}

/// Who a token is for, and what they may pass on to it.
struct Holder {
    caller: Caller,
    user: Arc<User>,
    generation: Generation,
    /// The upper bound of its roles.
    choice: RoleChoice,
    /// The grant it is made from; `None`: a new one.
    grant: Option<Grant>,
    /// The personal token that it dies with.
    parent: Option<TokenId>,
    /// What the caller needs for it.
    needs: Vec<Need>,
}

impl Core {
    /// Makes a token, and the refresh token that goes with it.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault; what a sign-in answers;
    /// [`Error::PermissionMissing`], [`Error::RoleNotHeld`], [`Error::UserWithoutRole`];
    /// [`Error::Unavailable`].
    pub async fn create_token(
        &self,
        origin: &Origin,
        request: CreateToken,
    ) -> Result<Created, Error> {
        let wish = self.read_wish(&request)?;
        let mut holder = self.holder(origin, &request.credential, &wish.profile).await?;
        if wish.profile.requires_role {
            if holder.user.roles.is_empty() {
                return Err(Error::UserWithoutRole);
            }
            holder.needs.push(Need::AnyOf(holder.user.roles.clone()));
        }
        let choice = self.choose_roles(&mut holder, wish.roles.as_ref()).await?;
        let now = self.now();
        let expires_at =
            lifetime::expiry(&wish.profile, wish.lifetime, holder.grant.as_ref(), now)?;
        let grant = match &holder.grant {
            Some(grant) => grant.clone(),
            None => self.new_grant(&holder, &wish.profile, (expires_at, now))?,
        };
        let profile = &*wish.profile;
        let draft = Draft {
            user: &holder.user,
            profile,
            format: profile.format,
            kind: profile.kind,
            grant: grant.id,
            generation: grant.generation,
            roles: choice.clone(),
            display_name: wish.display_name.clone(),
            expires_at,
            refresh: None,
            parent: holder.parent.clone(),
            now,
        };
        let token = self.write_token(draft)?;
        let refresh = match (profile.refresh, holder.grant.is_none()) {
            (Some(policy), true) if matches!(holder.caller, Caller::User(_)) => {
                Some(self.write_refresh(&holder, &grant, profile, (policy, choice))?)
            }
            (Some(_) | None, _) => None,
        };
        self.insert(origin, &holder, grant, (token, refresh, profile.max_live_per_user)).await
    }

    fn read_wish(&self, request: &CreateToken) -> Result<Wish, Error> {
        let CreateToken { credential, profile, display_name, lifetime, roles } = request;
        let mut faults = Faults::default();
        let profile = self.settings.profiles.get(profile).map_err(|f| faults.push(f)).ok();
        let display_name = faults.take("display_name", parse_text(display_name));
        let roles =
            roles.as_ref().map(|names| read_role_names(&mut faults, "roles.role_ids", names));
        let longest = profile.map_or(Life::Endless, |profile| profile.max_life);
        lifetime::check(&mut faults, longest, *lifetime, self.now());
        if let CreateFor::Credential(Credential::Password(credential)) = credential {
            self.check_credential(&mut faults, credential, profile.map(|p| &**p));
        }
        faults.finish()?;
        match (profile, display_name) {
            (Some(profile), Some(display_name)) => {
                Ok(Wish { profile: Arc::clone(profile), display_name, lifetime: *lifetime, roles })
            }
            _ => Err(Error::internal("a fault was not named")),
        }
    }

    /// Names the faults of a body credential beside the others. A sign-in reads it again.
    fn check_credential(
        &self,
        faults: &mut Faults,
        credential: &PasswordCredential,
        profile: Option<&Profile>,
    ) {
        let PasswordCredential { realm, username, password, final_newline: _, profile: _ } =
            credential;
        faults.take("password.username", super::identity::Username::parse(username));
        faults.take("password.password", super::password::Password::parse(password));
        if let Some(Err(fault)) = profile.map(|profile| self.realm_for(realm, profile)) {
            faults.add("password.realm", fault);
        }
    }

    /// The realm of a sign-in: the one named, or else the profile's, or else `default`.
    fn realm_for(&self, named: &str, profile: &Profile) -> Result<Realm, String> {
        match (&profile.realm, named) {
            (Some(realm), "") => Ok(realm.clone()),
            (Some(realm), named) if realm.as_str() != named => {
                Err("is not the realm of this profile".to_owned())
            }
            (Some(_) | None, named) => {
                self.settings.profiles.realm(named).map_err(|field| field.fault)
            }
        }
    }

    async fn holder(
        &self,
        origin: &Origin,
        credential: &CreateFor,
        profile: &Profile,
    ) -> Result<Holder, Error> {
        let credential = match credential {
            CreateFor::Caller => &origin.credential,
            CreateFor::Credential(credential) => credential,
            CreateFor::User(id) => return self.holder_by_operator(origin, id, profile).await,
        };
        match credential {
            Credential::None => Err(Error::BadCredentials),
            Credential::Operator => Err(Error::field("credential", "must name the user")),
            Credential::Password(password) => {
                let place = match origin.credential {
                    Credential::Password(_) => CredentialPlace::Metadata,
                    Credential::None | Credential::Operator | Credential::Bearer { .. } => {
                        CredentialPlace::Body
                    }
                };
                let realm = self
                    .realm_for(&password.realm, profile)
                    .map_err(|fault| Error::field("password.realm", fault))?;
                let check = PasswordCheck { realm, place, lockout: profile.lockout };
                let user = self.prove_password(origin, password, check).await?;
                let proven = self.with_roles(&user).await?;
                Ok(Holder {
                    user: Arc::clone(&proven.user),
                    generation: proven.user.generation,
                    caller: Caller::User(proven),
                    choice: RoleChoice::Inherit,
                    grant: None,
                    parent: None,
                    needs: vec![],
                })
            }
            Credential::Bearer { secret, realm } => {
                self.knowledge.reach().await?;
                let accepted = self.prove_bearer(secret, realm.as_deref()).await?;
                self.holder_by_bearer(accepted, profile).await
            }
        }
    }

    async fn holder_by_bearer(
        &self,
        accepted: Accepted,
        profile: &Profile,
    ) -> Result<Holder, Error> {
        let caller = Caller::Bearer(Box::new(accepted.clone()));
        caller.need(CREATE)?;
        if profile.realm.as_ref().is_some_and(|realm| *realm != accepted.user.realm) {
            return Err(Error::PermissionMissing(CREATE.to_owned()));
        }
        let needs = vec![Need::permission(CREATE, &accepted.user.realm)];
        // A personal token has a grant of its own, so that it survives a sign-out.
        let grant = match profile.kind {
            TokenKind::Personal => None,
            TokenKind::Operation | TokenKind::Refresh => {
                let grant = self.store.find_grant(accepted.grant).await?;
                Some(grant.ok_or(Error::TokenInvalid)?)
            }
        };
        let parent = self.parent(&accepted, profile).await?;
        Ok(Holder {
            user: Arc::clone(&accepted.user),
            generation: accepted.generation,
            choice: accepted.choice,
            caller,
            grant,
            parent,
            needs,
        })
    }

    /// The personal token that a new one of this profile dies with: the bearer, or the one that the
    /// bearer was made from. What was made from a sign-in lives on after the sign-out.
    async fn parent(&self, bearer: &Accepted, profile: &Profile) -> Result<Option<TokenId>, Error> {
        match (profile.kind, bearer.kind) {
            // These are of the bearer's own grant, and die with it.
            (TokenKind::Operation | TokenKind::Refresh, _) => Ok(None),
            (TokenKind::Personal, _) if profile.outlives_parent => Ok(None),
            (TokenKind::Personal, TokenKind::Personal) => Ok(Some(bearer.id.clone())),
            (TokenKind::Personal, TokenKind::Operation | TokenKind::Refresh) => {
                Ok(self.roots.find(&*self.store, bearer.grant).await?)
            }
        }
    }

    async fn holder_by_operator(
        &self,
        origin: &Origin,
        id: &str,
        profile: &Profile,
    ) -> Result<Holder, Error> {
        let caller = self.caller(origin).await?;
        if !matches!(caller, Caller::Operator) {
            return Err(Error::field("user_id", "is for the operator on a local database alone"));
        }
        let user = self.get_user_by_id("user_id", id).await?;
        if user.state == UserState::Disabled {
            return Err(Error::field("user_id", "names a user who is disabled"));
        }
        if profile.realm.as_ref().is_some_and(|realm| *realm != user.realm) {
            return Err(Error::field(
                "user_id",
                "names a user of another realm than the profile's",
            ));
        }
        let generation = user.generation;
        let choice = RoleChoice::Inherit;
        let user = Arc::new(user);
        Ok(Holder { caller, user, generation, choice, grant: None, parent: None, needs: vec![] })
    }

    /// The roles of a new token: those chosen, each of which its holder has now and must have when
    /// it is written; or what the holder passes on.
    async fn choose_roles(
        &self,
        holder: &mut Holder,
        chosen: Option<&BTreeSet<RoleName>>,
    ) -> Result<RoleChoice, Error> {
        let Some(names) = chosen else { return Ok(holder.choice.clone()) };
        let roles = self.store.find_roles(&holder.user.realm, names).await?;
        let held: BTreeSet<_> = holder.choice.of(&holder.user.roles).collect();
        let is_held = |name: &RoleName| {
            roles.iter().any(|role| role.name == *name && held.contains(&role.id))
        };
        if let Some(lacking) = names.iter().find(|name| !is_held(name)) {
            return Err(Error::RoleNotHeld(lacking.to_string()));
        }
        let choice = RoleChoice::only(roles.iter().map(|role| role.id));
        let roles = roles.into_iter().map(|role| (role.id, role.name)).collect();
        holder.needs.push(Need::Choose(roles));
        Ok(choice)
    }

    fn new_grant(
        &self,
        holder: &Holder,
        profile: &Profile,
        (expires_at, now): (Option<Timestamp>, Timestamp),
    ) -> Result<Grant, Error> {
        // As long as anything made from it may live: a refresh at the very end of the family
        // still makes a whole operation token.
        let end_of_family = profile.refresh.map(|policy| match profile.max_life {
            Life::Endless => None,
            Life::For(longest) => Some(now.plus(policy.life).plus(longest)),
        });
        let expires_at = match (expires_at, end_of_family) {
            (None, _) | (_, Some(None)) => None,
            (Some(end), Some(Some(family))) => Some(end.max(family)),
            (Some(end), None) => Some(end),
        };
        Ok(Grant {
            id: GrantId(self.random.uuid(now)?),
            user: holder.user.id,
            generation: holder.generation,
            created_at: now,
            expires_at,
            revoked_at: None,
        })
    }

    fn write_refresh(
        &self,
        holder: &Holder,
        grant: &Grant,
        profile: &Profile,
        (policy, roles): (RefreshPolicy, RoleChoice),
    ) -> Result<Made, Error> {
        self.write_token(Draft {
            user: &holder.user,
            profile,
            format: policy.format,
            kind: TokenKind::Refresh,
            grant: grant.id,
            generation: grant.generation,
            roles,
            display_name: String::new(),
            expires_at: Some(grant.created_at.plus(policy.life)),
            refresh: None,
            parent: None,
            now: grant.created_at,
        })
    }

    async fn insert(
        &self,
        origin: &Origin,
        holder: &Holder,
        grant: Grant,
        (token, refresh, max_live): (Made, Option<Made>, Option<u32>),
    ) -> Result<Created, Error> {
        let new_grant = holder.grant.is_none().then_some(grant);
        let tokens = std::iter::once(&token).chain(&refresh).map(|(row, _)| row.clone()).collect();
        let new = NewTokens { grant: new_grant, tokens, max_live };
        let (realm, needs) = (&holder.user.realm, holder.needs.clone());
        let intent = Intent::new("token.create", realm, &token.0.id, needs);
        let order = self.order(&holder.caller, origin, intent);
        let store = Arc::clone(&self.store);
        self.knowledge
            .commit(Wait::Skip, async move { store.insert_tokens(&new, &order).await })
            .await
            .map_err(|error| match (error, &holder.caller) {
                // Cut off while they signed in: one and the same answer.
                (Error::TokenInvalid, Caller::User(_)) => Error::BadCredentials,
                (error, _) => error,
            })?;
        metrics::counter!("tokend_tokens_created_total", "profile" => token.0.profile.to_string())
            .increment(1);
        let view = self.knowledge.view().await?;
        let refresh_token = match refresh {
            Some(refresh) => Some(self.issued(&view, &holder.user, refresh).await?),
            None => None,
        };
        Ok(Created { token: self.issued(&view, &holder.user, token).await?, refresh_token })
    }
}

/// Reads role names; none may come twice.
pub(super) fn read_role_names(
    faults: &mut Faults,
    path: &str,
    names: &[String],
) -> BTreeSet<RoleName> {
    let mut roles = BTreeSet::new();
    if names.len() > MOST_ROLES {
        faults.add(path, "must be at most 64");
    }
    for (n, name) in names.iter().take(MOST_ROLES).enumerate() {
        let path = format!("{path}[{n}]");
        if let Some(name) = faults.take(&path, RoleName::parse(name))
            && !roles.insert(name)
        {
            faults.add(path, "must not come twice");
        }
    }
    roles
}
