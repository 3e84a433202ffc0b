//! The facts of all states: the product's own, each call made once on equal facts.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::database::{About, Page, Row};
use super::{Flaw, Scope, Target, instant, lease};
use crate::domain::clock::Timestamp;
use crate::domain::facts::{Capacity, Caught, FactKey, Facts, Image, Kept, Standing, TokenFact};
use crate::domain::identity::{Generation, Realm, Role, RoleId, RoleName, User, UserId, UserState};
use crate::domain::permission::PermissionSet;
use crate::domain::profile::{ProfileName, Profiles};
use crate::domain::store::{Change, GrantChange, Mark, More, Revocation, Seq, Tail, Terms};
use crate::domain::token::{
    Grant, GrantId, KeyId, RoleChoice, Token, TokenDigest, TokenId, TokenKind,
};

const CAPACITY: Capacity = Capacity { tokens: 4096, jwts: 4096, users: 65_536 };

const ID: Uuid = Uuid::from_u128(1);

/// Which facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shelved(u16);

/// A call that changes facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Call {
    TakeIn(Page),
    TakeLease {
        lease: u8,
        began: u8,
        suspensions: u8,
    },
    Suspend,
    /// Keeps what was read: whether the change had been made.
    Keep {
        about: About,
        is_changed: bool,
        as_of: u8,
    },
    Evict(About),
    DropFloor,
    Lapse,
}

/// What a call answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Nothing,
    Caught(Caught),
    Kept(Kept),
}

/// All facts that were met.
#[derive(Debug)]
pub(super) struct Library {
    target: Target,
    marks: usize,
    // Whether a row is believed about its grant.
    rows_alone: bool,
    shelved: Vec<Facts>,
    by_image: HashMap<Image, Shelved>,
    answered: HashMap<(Shelved, Call), (Shelved, Answer)>,
    loaded: HashMap<(Row, bool), Shelved>,
}

impl Library {
    pub(super) fn new(scope: Scope) -> Self {
        Self {
            target: scope.target,
            marks: scope.marks,
            rows_alone: scope.has(Flaw::RowAlone),
            shelved: Vec::new(),
            by_image: HashMap::new(),
            answered: HashMap::new(),
            loaded: HashMap::new(),
        }
    }

    fn shelve(&mut self, facts: Facts) -> Shelved {
        let next = Shelved(u16::try_from(self.shelved.len()).unwrap());
        let shelved = *self.by_image.entry(facts.image()).or_insert(next);
        if shelved == next {
            self.shelved.push(facts);
        }
        shelved
    }

    pub(super) fn facts(&self, shelved: Shelved) -> &Facts {
        &self.shelved[usize::from(shelved.0)]
    }

    /// How many different facts were met.
    pub(super) fn len(&self) -> usize {
        self.shelved.len()
    }

    /// New facts, from what a load has read.
    pub(super) fn load(&mut self, head: Row, is_revoked: bool) -> Shelved {
        if let Some(loaded) = self.loaded.get(&(head, is_revoked)) {
            return *loaded;
        }
        let revocation = match self.target {
            Target::Jti => Some(Revocation::Jti(jti(), None)),
            Target::Grant => Some(Revocation::Grant(GrantId(ID), None)),
            Target::Token | Target::User | Target::GrantOfRow => None,
        };
        let revocations = revocation.filter(|_| is_revoked).into_iter().collect();
        let facts = Facts::new(CAPACITY, mark(head), revocations);
        facts.bound_marks(self.marks);
        let loaded = self.shelve(facts.fork());
        self.loaded.insert((head, is_revoked), loaded);
        loaded
    }

    /// Makes a call on facts, and answers which they are after it.
    pub(super) fn call(&mut self, on: Shelved, call: Call) -> (Shelved, Answer) {
        if let Some(answered) = self.answered.get(&(on, call)) {
            return *answered;
        }
        let facts = self.facts(on).fork();
        let answer = self.answer(&facts, call);
        let after = self.shelve(facts);
        self.answered.insert((on, call), (after, answer));
        (after, answer)
    }

    fn answer(&self, facts: &Facts, call: Call) -> Answer {
        match call {
            Call::TakeIn(page) => return Answer::Caught(facts.take_in(&self.tail(page))),
            Call::Keep { about, is_changed, as_of } => {
                return Answer::Kept(self.keep(facts, (about, is_changed), Seq(as_of.into())));
            }
            Call::TakeLease { lease: ticks, began, suspensions } => {
                facts.take_lease(lease(ticks), instant(began), suspensions.into());
            }
            Call::Suspend => facts.suspend(),
            Call::Evict(about) => facts.evict(&self.key(about)),
            Call::DropFloor => facts.drop_floor(),
            Call::Lapse => facts.lapse(),
        }
        Answer::Nothing
    }

    fn tail(&self, page: Page) -> Tail {
        let Page { rows, is_full, longest_lease } = page;
        let change = |row: &Row| (mark(*row), self.change(row.about));
        Tail {
            changes: rows.as_slice().iter().map(change).collect(),
            more: if is_full { More::Perhaps } else { More::No },
            terms: terms(longest_lease),
            clock: Timestamp::from_micros(0),
        }
    }

    fn change(&self, about: About) -> Change {
        match (about, self.target) {
            // A key of no importance; not an unknown one, for that loads everything anew.
            (About::Nothing, _) => Change::Keys,
            (About::Role, _) => Change::Role(RoleId(ID)),
            (About::Target, Target::Token) => Change::Token(digest()),
            (About::Target, Target::User) => Change::User(UserId(ID)),
            (About::Target, Target::Jti) => Change::Jti { id: jti(), until: None },
            (About::Target, Target::Grant | Target::GrantOfRow) => {
                Change::Grant { id: GrantId(ID), until: None, revoked: GrantChange::Revoked }
            }
        }
    }

    fn key(&self, about: About) -> FactKey {
        match (about, self.target) {
            (About::Role, _) => FactKey::Role(RoleId(ID)),
            (About::Target, Target::Token | Target::GrantOfRow) => FactKey::Token(digest()),
            (About::Target, Target::User) => FactKey::User(UserId(ID)),
            (About::Target, Target::Jti | Target::Grant) | (About::Nothing, _) => {
                panic!("it is no fact that is read")
            }
        }
    }

    fn keep(&self, facts: &Facts, (about, is_changed): (About, bool), as_of: Seq) -> Kept {
        match self.key(about) {
            FactKey::Token(digest) => {
                let token = match self.target {
                    Target::GrantOfRow => token(false, is_changed),
                    Target::Token | Target::User | Target::Jti | Target::Grant => {
                        token(is_changed, false)
                    }
                };
                facts.keep_token(digest, Some(token), as_of)
            }
            FactKey::User(id) => facts.keep_user(id, Some(Arc::new(user(is_changed))), as_of),
            FactKey::Role(id) => facts.keep_role(id, Some(Arc::new(role(is_changed))), as_of),
            FactKey::Anonymous(_) | FactKey::Grant(_) | FactKey::Keys => {
                panic!("the model reads no such fact")
            }
        }
    }

    /// What a check finds: whether the change had been made. `None`: it must be read.
    pub(super) fn find(&self, on: Shelved, about: About) -> Option<bool> {
        let facts = self.facts(on);
        match (about, self.target) {
            (About::Nothing, _) => panic!("it is about nothing"),
            (About::Role, _) => {
                facts.kept_role(RoleId(ID)).map(|role| !role.unwrap().description.is_empty())
            }
            (About::Target, Target::Token) => facts
                .kept_token(&digest())
                .map(|token| token.unwrap().standing == Standing::Revoked),
            (About::Target, Target::GrantOfRow) => facts.kept_token(&digest()).map(|token| {
                let token = token.unwrap();
                token.standing == Standing::GrantRevoked
                    || !self.rows_alone && facts.is_grant_revoked(token.grant)
            }),
            (About::Target, Target::User) => {
                facts.kept_user(UserId(ID)).map(|user| user.unwrap().state == UserState::Disabled)
            }
            (About::Target, Target::Jti) => Some(facts.is_jti_revoked(&jti())),
            (About::Target, Target::Grant) => Some(facts.is_grant_revoked(GrantId(ID))),
        }
    }

    /// The number of the newest change that these facts know, and its nonce.
    pub(super) fn known_mark(&self, on: Shelved) -> (u8, u8) {
        let Mark { seq, nonce } = self.facts(on).known_mark();
        (seq.0.try_into().unwrap(), nonce.try_into().unwrap())
    }

    pub(super) fn suspensions(&self, on: Shelved) -> u8 {
        self.facts(on).suspensions().try_into().unwrap()
    }
}

/// What was announced, as the product reads it.
pub(super) fn terms(longest_lease: u8) -> Terms {
    Terms { longest_lease: super::TICK * u32::from(longest_lease), serve_stale: None }
}

fn mark(row: Row) -> Mark {
    Mark { seq: Seq(row.seq.into()), nonce: row.nonce.into() }
}

fn digest() -> TokenDigest {
    TokenDigest::from_bytes([1; 32])
}

fn jti() -> TokenId {
    TokenId::parse("one").unwrap()
}

const THEN: Timestamp = Timestamp::from_micros(0);

fn token(is_revoked: bool, is_grant_revoked: bool) -> TokenFact {
    let grant = Grant {
        id: GrantId(ID),
        user: UserId(ID),
        generation: Generation(0),
        created_at: THEN,
        expires_at: None,
        revoked_at: is_grant_revoked.then_some(THEN),
    };
    let row = Token {
        id: jti(),
        user: UserId(ID),
        grant: GrantId(ID),
        display_name: String::new(),
        profile: ProfileName::parse("personal").unwrap(),
        kind: TokenKind::Personal,
        roles: RoleChoice::Inherit,
        digest: Some(digest()),
        key: KeyId::parse("key").unwrap(),
        created_at: THEN,
        expires_at: None,
        revoked_at: is_revoked.then_some(THEN),
        last_used_at: None,
        parent: None,
    };
    TokenFact::of(row, &grant, &Profiles::default())
}

/// A user: disabled, or without their role, which is the same to the model.
fn user(is_revoked: bool) -> User {
    User {
        id: UserId(ID),
        realm: Realm::default(),
        username: "one".to_owned(),
        display_name: String::new(),
        state: if is_revoked { UserState::Disabled } else { UserState::Active },
        generation: Generation(0),
        roles: BTreeSet::from([RoleId(ID)]),
        created_at: THEN,
        updated_at: THEN,
    }
}

/// A role; what is told of it stands for what it grants.
fn role(is_changed: bool) -> Role {
    Role {
        id: RoleId(ID),
        realm: Realm::default(),
        name: RoleName::parse("one").unwrap(),
        description: if is_changed { "wide".to_owned() } else { String::new() },
        permissions: PermissionSet::default(),
    }
}
