//! The port's promises, each test on a database of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::{Options, SeaStore};
use crate::domain::clock::Timestamp;
use crate::domain::identity::{
    Generation, Realm, Role, RoleId, RoleName, User, UserId, UserState, Username,
};
use crate::domain::permission::Permission;
use crate::domain::profile::ProfileName;
use crate::domain::store::*;
use crate::domain::token::{
    Grant, GrantId, KeyId, RoleChoice, Token, TokenDigest, TokenId, TokenKind,
};

mod attempts;
mod changes;
mod commits;
#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "../../../tests/it/support/database/mod.rs"]
mod database;
mod directory;
mod ending;
mod family;
mod group;
mod keys;
mod open;
mod purge;
mod revoke;
mod rights;
mod servers;
mod shared;
mod tokens;

use database::{Database, Kind};

const HOUR: Duration = Duration::from_hours(1);

/// A store, whose database goes with it.
struct Bed {
    store: SeaStore,
    database: Database,
}

impl std::ops::Deref for Bed {
    type Target = SeaStore;

    fn deref(&self) -> &SeaStore {
        &self.store
    }
}

impl Bed {
    /// Finds a token by its id, with its grant.
    async fn find_token(&self, id: &TokenId) -> Answer<Option<(Token, Grant)>> {
        let found = self.find_owned(TokenName::Id(id)).await?;
        Ok(found.map(|Owned { token, grant, owner: _ }| (token, grant)))
    }

    /// Revokes a token with a row, if there is one.
    async fn revoke_token(
        &self,
        id: &TokenId,
        order: &Order,
    ) -> Answer<Committed<Option<Revoked>>> {
        let grant = self.find_token(id).await?.map_or(GrantId(uuid(0)), |(_, grant)| grant.id);
        self.store.revoke_token(id, grant, order).await
    }
}

fn options(url: &str) -> Options {
    Options {
        url: url.into(),
        readers: 2,
        writers: 8,
        group: 256,
        connection_wait: Duration::from_secs(5),
        statement_log: None,
    }
}

async fn bed() -> Bed {
    bed_on(Kind::of_this_run()).await
}

async fn bed_on(kind: Kind) -> Bed {
    let database = Database::empty(kind);
    let store = SeaStore::open(&options(database.url())).await.unwrap();
    Bed { store, database }
}

/// Hours after the beginning of the test's time.
fn at(hours: u32) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000).unwrap().plus(HOUR * hours)
}

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn audit(hours: u32) -> Audit {
    Audit {
        at: at(hours),
        action: "test.done",
        outcome: "ok",
        realm: Some(Realm::default()),
        actor: Actor::Operator,
        target: "thing".to_owned(),
        client_address: None,
    }
}

fn order(hours: u32) -> Order {
    Order { proof: None, audit: audit(hours) }
}

fn new_user(number: u128, name: &str) -> NewUser {
    let username = Username::parse(name).unwrap();
    let user = User {
        id: UserId(uuid(number)),
        realm: Realm::default(),
        username: name.to_owned(),
        display_name: String::new(),
        state: UserState::Active,
        generation: Generation(1),
        roles: BTreeSet::new(),
        created_at: at(0),
        updated_at: at(0),
    };
    NewUser { user, username, password_hash: Some(hash("old")) }
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash(text.to_owned().into())
}

fn role(number: u128, name: &str, permission: &str) -> Role {
    Role {
        id: RoleId(uuid(number)),
        realm: Realm::default(),
        name: RoleName::parse(name).unwrap(),
        description: String::new(),
        permissions: [Permission::parse(permission).unwrap()].into_iter().collect(),
    }
}

fn grant(number: u128, user: UserId) -> Grant {
    Grant {
        id: GrantId(uuid(number)),
        user,
        generation: Generation(1),
        created_at: at(0),
        expires_at: Some(at(1000)),
        revoked_at: None,
    }
}

/// An opaque token of a kind, made at the beginning, good for 100 hours.
fn token(id: &str, grant: &Grant, kind: TokenKind) -> Token {
    Token {
        id: TokenId::parse(id).unwrap(),
        user: grant.user,
        grant: grant.id,
        display_name: String::new(),
        profile: ProfileName::parse("operation").unwrap(),
        kind,
        roles: RoleChoice::Inherit,
        digest: Some(TokenDigest::of(id)),
        key: KeyId::parse("key").unwrap(),
        created_at: at(0),
        expires_at: Some(at(100)),
        revoked_at: None,
        last_used_at: None,
        parent: None,
    }
}

/// A JWT with a row.
fn jwt(id: &str, grant: &Grant) -> Token {
    Token { digest: None, ..token(id, grant, TokenKind::Operation) }
}

fn tokens(grant: Option<Grant>, tokens: Vec<Token>) -> NewTokens {
    NewTokens { grant, tokens, max_live: None }
}

/// A purge by the settings at the start, but for events.
fn purge_until(now: Timestamp, limit: u32) -> Purge {
    Purge {
        now,
        audit_retention: None,
        failure_memory: 24 * HOUR,
        longest_jwt: 24 * HOUR,
        longest_signed: 30 * 24 * HOUR,
        limit,
    }
}

impl Bed {
    /// Makes a user without roles.
    async fn user(&self, number: u128, name: &str) -> UserId {
        let new = new_user(number, name);
        let inserted = self.insert_user(&new, &order(0)).await.unwrap();
        assert!(matches!(inserted.value, Inserted::Done));
        new.user.id
    }

    /// Makes a grant with these tokens.
    async fn sign_in(&self, grant: &Grant, list: Vec<Token>) {
        let new = tokens(Some(grant.clone()), list);
        let _ = self.insert_tokens(&new, &order(0)).await.unwrap();
    }

    /// The changes after the first one that every database has.
    async fn all_changes(&self) -> Vec<Change> {
        let tail = self.changes_from(Seq(2)).await.unwrap();
        tail.changes.into_iter().map(|(_, change)| change).collect()
    }

    async fn audit_count(&self) -> usize {
        let query = AuditQuery { limit: 1000, ..AuditQuery::default() };
        self.list_audit(&query).await.unwrap().len()
    }
}
