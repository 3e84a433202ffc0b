//! What is written by hand, against what prost writes.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::domain::calls::DenyReason;
use crate::domain::identity::{Generation, Realm, RoleId, RoleName, UserId, UserState};
use crate::domain::permission::PermissionSet;
use crate::domain::profile::ProfileName;
use crate::domain::token::{GrantId, TokenId, TokenKind};

const REASONS: [DenyReason; 8] = [
    DenyReason::NoToken,
    DenyReason::UnknownToken,
    DenyReason::ExpiredToken,
    DenyReason::RevokedToken,
    DenyReason::WrongKind,
    DenyReason::WrongProfile,
    DenyReason::DisabledUser,
    DenyReason::MissingPermission,
];

const KINDS: [TokenKind; 3] = [TokenKind::Operation, TokenKind::Refresh, TokenKind::Personal];

fn uuids() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn ids() -> impl Strategy<Value = TokenId> {
    let texts = prop_oneof![
        uuids().prop_map(|id| id.to_string()),
        "api_[A-Za-z0-9_-]{21}",
        "[A-Za-z0-9_-]{1,64}"
    ];
    texts.prop_map(|text| TokenId::parse(&text).unwrap())
}

fn tokens() -> impl Strategy<Value = TokenSummary> {
    let ends = option::of((-5_000_000_000_i64..5_000_000_000).prop_map(Timestamp::from_micros));
    let roles = vec("[A-Za-z0-9_.:-]{1,64}", 0..4);
    (ids(), uuids(), "[a-z0-9-]{1,64}", 0_usize..3, roles, ends).prop_map(
        |(id, grant, profile, kind, roles, expires_at)| TokenSummary {
            id,
            grant: GrantId(grant),
            profile: ProfileName::parse(&profile).unwrap(),
            kind: KINDS[kind],
            roles: roles.iter().map(|name| role(name)).collect(),
            expires_at,
        },
    )
}

fn role(name: &str) -> Arc<Role> {
    Arc::new(Role {
        id: RoleId(Uuid::nil()),
        realm: Realm::default(),
        name: RoleName::parse(name).unwrap(),
        description: String::new(),
        permissions: PermissionSet::default(),
    })
}

fn users() -> impl Strategy<Value = Arc<User>> {
    (uuids(), "[a-z0-9-]{1,64}", ".{0,300}").prop_map(|(id, realm, username)| {
        Arc::new(User {
            id: UserId(id),
            realm: Realm::parse(&realm).unwrap(),
            username,
            display_name: String::new(),
            state: UserState::Active,
            generation: Generation(0),
            roles: BTreeSet::new(),
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
        })
    })
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    let bearers = (tokens(), users()).prop_map(|(token, user)| Bearer { token, user });
    let ages = (0_u64..100_000, 0_u32..1_000_000_000);
    (option::of(0_usize..8), option::of(bearers), vec(".{0,9}", 0..3), ages).prop_map(
        |(denied, bearer, missing, (seconds, nanos))| Verdict {
            denied: denied.map(|reason| REASONS[reason]),
            bearer,
            missing,
            facts_age: Duration::new(seconds, nanos),
        },
    )
}

proptest! {
    #[test]
    fn writes_what_prost_writes(verdict in verdicts()) {
        let mut written = BytesMut::new();
        write(&verdict, &mut written);
        prop_assert_eq!(written.to_vec(), pb::AuthorizeResponse::from(verdict).encode_to_vec());
    }
}
