//! Absurd messages, and what the domain makes of them.

use crate::domain::calls::{
    Check, CreateToken, Lifetime, ListTokens, OnRefused, PutRole, UpdateUser,
};
use crate::domain::error::Error;
use crate::pb;
use crate::pb::create_token_request::Lifetime as Sent;

use super::*;

fn lifetime(sent: Sent) -> Result<Lifetime, Error> {
    let request = pb::CreateTokenRequest { lifetime: Some(sent), ..Default::default() };
    CreateToken::try_from(request).map(|asked| asked.lifetime)
}

fn ttl(seconds: i64, nanos: i32) -> Result<Lifetime, Error> {
    lifetime(Sent::Ttl(prost_types::Duration { seconds, nanos }))
}

fn until(seconds: i64, nanos: i32) -> Result<Lifetime, Error> {
    lifetime(Sent::ExpireTime(prost_types::Timestamp { seconds, nanos }))
}

fn fault<T: std::fmt::Debug>(parsed: Result<T, Error>) -> String {
    match parsed {
        Err(Error::Invalid(fields)) => {
            fields.into_iter().map(|field| field.path).collect::<Vec<_>>().join(" ")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn hands_absurd_lifetimes_on_to_the_rules() {
    assert_eq!(ttl(1, 500_000_000).unwrap(), Lifetime::For(1_500_000));
    assert_eq!(ttl(-1, -500_000_000).unwrap(), Lifetime::For(-1_500_000));
    assert_eq!(ttl(i64::MAX, 0).unwrap(), Lifetime::For(i64::MAX));
    assert_eq!(ttl(i64::MIN, -999_999_999).unwrap(), Lifetime::For(i64::MIN));
    let last = Timestamp::from_micros(i64::MAX);
    assert_eq!(until(i64::MAX, 999_999_999).unwrap(), Lifetime::Until(last));
}

#[test]
fn refuses_times_that_are_none() {
    for (seconds, nanos) in [(0, i32::MAX), (0, i32::MIN), (0, 1_000_000_000), (1, -1), (-1, 1)] {
        assert_eq!(fault(ttl(seconds, nanos)), "ttl");
    }
    for nanos in [-1, 1_000_000_000, i32::MAX, i32::MIN] {
        assert_eq!(fault(until(0, nanos)), "expire_time");
    }
}

#[test]
fn refuses_never_expires_where_it_is_false() {
    assert_eq!(lifetime(Sent::NeverExpires(true)).unwrap(), Lifetime::Never);
    assert_eq!(fault(lifetime(Sent::NeverExpires(false))), "never_expires");
}

#[test]
fn writes_times_before_the_epoch_as_the_contract_has_them() {
    let time = time(Timestamp::from_micros(-1));
    assert_eq!((time.seconds, time.nanos), (-1, 999_999_000));
}

#[test]
fn tells_no_roles_from_no_choice() {
    let none = Some(pb::RoleSelection { role_ids: Vec::new() });
    for (roles, due) in [(None, None), (none, Some(Vec::new()))] {
        let request = pb::CreateTokenRequest { roles, ..Default::default() };
        assert_eq!(CreateToken::try_from(request).unwrap().roles, due);
    }
}

#[test]
fn reads_a_check_without_a_token_as_a_guest_s() {
    let check = Check::try_from(pb::AuthorizeRequest::default()).unwrap();
    assert!(check.token.is_none());
    assert_eq!(check.on_refused, OnRefused::Deny);
    let request = pb::AuthorizeRequest { on_refused_token: 7, ..Default::default() };
    assert_eq!(fault(Check::try_from(request)), "on_refused_token");
}

#[test]
fn names_every_state_that_is_none() {
    let request = pb::ListTokensRequest { states: vec![1, 0, 2, 9], ..Default::default() };
    assert_eq!(fault(ListTokens::try_from(request)), "states[1] states[3]");
}

#[test]
fn leaves_a_state_that_is_unset_and_refuses_one_that_is_none() {
    assert_eq!(UpdateUser::try_from(pb::UpdateUserRequest::default()).unwrap().state, None);
    let request = pb::UpdateUserRequest { state: -1, ..Default::default() };
    assert_eq!(fault(UpdateUser::try_from(request)), "state");
}

#[test]
fn refuses_to_put_no_role() {
    assert_eq!(fault(PutRole::try_from(pb::PutRoleRequest::default())), "role");
}
