//! The messages of the contract as JSON, by the names the contract gives their fields.

use prost_types::Timestamp;
use serde_json::{Value, json};

use super::output::View;
use super::timestamp;
use crate::pb;

impl View for pb::User {
    const COLUMNS: &'static [&'static str] =
        &["realm", "username", "display_name", "state", "role_ids", "create_time"];

    fn json(&self) -> Value {
        let Self { id, realm, username, display_name, state, role_ids, create_time, update_time } =
            self;
        json!({
            "id": id,
            "realm": realm,
            "username": username,
            "display_name": display_name,
            "state": user_state(*state),
            "role_ids": role_ids,
            "create_time": time(create_time.as_ref()),
            "update_time": time(update_time.as_ref()),
        })
    }
}

impl View for pb::Role {
    const COLUMNS: &'static [&'static str] = &["realm", "id", "permissions", "description"];

    fn json(&self) -> Value {
        let Self { realm, id, description, permissions } = self;
        json!({
            "realm": realm,
            "id": id,
            "description": description,
            "permissions": permissions,
        })
    }
}

impl View for pb::Token {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "display_name",
        "profile",
        "kind",
        "state",
        "role_ids",
        "expire_time",
        "last_use_time",
        "parent_id",
    ];

    fn json(&self) -> Value {
        let Self {
            id,
            user_id,
            grant_id,
            display_name,
            profile,
            kind,
            role_ids,
            inherits_roles,
            state,
            create_time,
            expire_time,
            revoke_time,
            last_use_time,
            parent_id,
        } = self;
        json!({
            "id": id,
            "user_id": user_id,
            "grant_id": grant_id,
            "display_name": display_name,
            "profile": profile,
            "kind": token_kind(*kind),
            "role_ids": role_ids,
            "inherits_roles": inherits_roles,
            "state": token_state(*state),
            "create_time": time(create_time.as_ref()),
            "expire_time": time(expire_time.as_ref()),
            "revoke_time": time(revoke_time.as_ref()),
            "last_use_time": time(last_use_time.as_ref()),
            "parent_id": (!parent_id.is_empty()).then_some(parent_id),
        })
    }
}

impl View for pb::SigningKey {
    const COLUMNS: &'static [&'static str] =
        &["id", "profile", "algorithm", "state", "create_time", "retire_time"];

    fn json(&self) -> Value {
        let Self { id, profile, algorithm, state, create_time, retire_time } = self;
        json!({
            "id": id,
            "profile": profile,
            "algorithm": algorithm,
            "state": key_state(*state),
            "create_time": time(create_time.as_ref()),
            "retire_time": time(retire_time.as_ref()),
        })
    }
}

impl View for pb::AuditEvent {
    const COLUMNS: &'static [&'static str] =
        &["create_time", "action", "outcome", "realm", "actor", "target", "client_address"];

    fn json(&self) -> Value {
        let Self { id, create_time, action, outcome, realm, actor, target, client_address } = self;
        json!({
            "id": id,
            "create_time": time(create_time.as_ref()),
            "action": action,
            "outcome": outcome,
            "realm": realm,
            "actor": actor,
            "target": target,
            "client_address": client_address,
        })
    }
}

impl View for pb::PurgeResponse {
    const COLUMNS: &'static [&'static str] =
        &["token_count", "grant_count", "revocation_count", "change_count", "audit_event_count"];

    fn json(&self) -> Value {
        let Self {
            token_count,
            grant_count,
            revocation_count,
            change_count,
            audit_event_count,
            more: _,
        } = self;
        json!({
            "token_count": token_count,
            "grant_count": grant_count,
            "revocation_count": revocation_count,
            "change_count": change_count,
            "audit_event_count": audit_event_count,
        })
    }
}

/// The token with its secret: for the one answer that gives it out.
pub(super) fn issued(issued: &pb::IssuedToken) -> Value {
    let pb::IssuedToken { token, secret } = issued;
    json!({ "token": token.as_ref().map(View::json), "secret": secret })
}

/// The answer to a check.
pub(super) fn authorization(answer: &pb::AuthorizeResponse) -> Value {
    let pb::AuthorizeResponse {
        decision,
        deny_reason: reason,
        token,
        subject,
        missing_permissions,
        facts_age,
    } = answer;
    json!({
        "decision": word(pb::Decision::try_from(*decision).map(|it| it.as_str_name()), "DECISION_"),
        "deny_reason": deny_reason(*reason),
        "token": token.as_ref().map(summary),
        "subject": subject.as_ref().map(bearer),
        "missing_permissions": missing_permissions,
        "facts_age": facts_age.as_ref().map(timestamp::seconds),
    })
}

fn summary(token: &pb::TokenSummary) -> Value {
    let pb::TokenSummary { id, grant_id, profile, kind, role_ids, expire_time } = token;
    json!({
        "id": id,
        "grant_id": grant_id,
        "profile": profile,
        "kind": token_kind(*kind),
        "role_ids": role_ids,
        "expire_time": time(expire_time.as_ref()),
    })
}

fn bearer(subject: &pb::Subject) -> Value {
    let pb::Subject { user_id, realm, username, role_ids } = subject;
    json!({ "user_id": user_id, "realm": realm, "username": username, "role_ids": role_ids })
}

/// Why not; nothing where the answer is ALLOW.
pub(super) fn deny_reason(value: i32) -> Option<String> {
    let reason = pb::DenyReason::try_from(value);
    (reason != Ok(pb::DenyReason::Unspecified))
        .then(|| word(reason.map(|it| it.as_str_name()), "DENY_REASON_"))
}

fn user_state(value: i32) -> String {
    word(pb::UserState::try_from(value).map(|it| it.as_str_name()), "USER_STATE_")
}

fn token_kind(value: i32) -> String {
    word(pb::TokenKind::try_from(value).map(|it| it.as_str_name()), "TOKEN_KIND_")
}

fn token_state(value: i32) -> String {
    word(pb::TokenState::try_from(value).map(|it| it.as_str_name()), "TOKEN_STATE_")
}

fn key_state(value: i32) -> String {
    word(pb::SigningKeyState::try_from(value).map(|it| it.as_str_name()), "SIGNING_KEY_STATE_")
}

/// The value's name without its prefix, in lower case. A newer server may send one that we don't
/// know.
fn word<E>(name: Result<&str, E>, prefix: &str) -> String {
    name.map_or_else(
        |_| "unknown".to_owned(),
        |name| name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase(),
    )
}

fn time(time: Option<&Timestamp>) -> Option<String> {
    time.map(timestamp::format)
}

#[cfg(test)]
mod tests {
    use super::super::output::{OutputFormat, Printer};
    use super::*;

    fn printed(format: OutputFormat, print: impl FnOnce(&mut Printer<'_>)) -> String {
        let mut out = Vec::new();
        print(&mut Printer { out: &mut out, format });
        String::from_utf8(out).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanos: 0 }
    }

    fn users() -> [pb::User; 2] {
        let alice = pb::User {
            id: "018f".to_owned(),
            realm: "default".to_owned(),
            username: "alice".to_owned(),
            display_name: "Alice\u{1b}[31m".to_owned(),
            state: pb::UserState::Active.into(),
            role_ids: vec!["admin".to_owned(), "clerk".to_owned()],
            create_time: Some(at(1_795_000_000)),
            update_time: Some(at(1_795_000_060)),
        };
        let state = pb::UserState::Disabled.into();
        let username = "bob-with-a-long-name".to_owned();
        [alice.clone(), pb::User { username, state, role_ids: vec![], ..alice }]
    }

    fn token() -> pb::Token {
        pb::Token {
            id: "api_1".to_owned(),
            user_id: "018f".to_owned(),
            grant_id: "019a".to_owned(),
            display_name: "backup".to_owned(),
            profile: "personal".to_owned(),
            kind: pb::TokenKind::Personal.into(),
            role_ids: vec!["clerk".to_owned()],
            inherits_roles: true,
            state: pb::TokenState::Revoked.into(),
            create_time: Some(at(1_795_000_000)),
            expire_time: None,
            revoke_time: Some(at(1_795_000_001)),
            last_use_time: None,
            parent_id: "api_0".to_owned(),
        }
    }

    #[test]
    fn aligns_columns_for_people() {
        let printed = printed(OutputFormat::Table, |p| p.list(&users()).unwrap());
        insta::assert_snapshot!(printed, @r#"
        REALM    USERNAME              DISPLAY NAME     STATE     ROLE IDS      CREATE TIME
        default  alice                 Alice\u{1b}[31m  active    admin, clerk  2026-11-18T11:06:40Z
        default  bob-with-a-long-name  Alice\u{1b}[31m  disabled  -             2026-11-18T11:06:40Z
        "#);
    }

    #[test]
    fn prints_headings_alone_for_an_empty_list() {
        let table = printed(OutputFormat::Table, |p| p.list::<pb::Role>(&[]).unwrap());
        insta::assert_snapshot!(table, @"REALM  ID  PERMISSIONS  DESCRIPTION");
        assert_eq!(printed(OutputFormat::Json, |p| p.list::<pb::Role>(&[]).unwrap()), "[]\n");
    }

    #[test]
    fn prints_a_line_for_each_field_of_one() {
        let printed = printed(OutputFormat::Table, |p| p.one(&token()).unwrap());
        insta::assert_snapshot!(printed, @"
        id              api_1
        user id         018f
        grant id        019a
        display name    backup
        profile         personal
        kind            personal
        role ids        clerk
        inherits roles  yes
        state           revoked
        create time     2026-11-18T11:06:40Z
        expire time     -
        revoke time     2026-11-18T11:06:41Z
        last use time   -
        parent id       api_0
        ");
    }

    #[test]
    fn prints_an_array_for_programs() {
        let printed = printed(OutputFormat::Json, |p| p.list(&users()[..1]).unwrap());
        insta::assert_snapshot!(printed, @r#"
        [
          {
            "id": "018f",
            "realm": "default",
            "username": "alice",
            "display_name": "Alice\u001b[31m",
            "state": "active",
            "role_ids": [
              "admin",
              "clerk"
            ],
            "create_time": "2026-11-18T11:06:40Z",
            "update_time": "2026-11-18T11:07:40Z"
          }
        ]
        "#);
    }

    #[test]
    fn prints_an_object_for_programs() {
        let printed = printed(OutputFormat::Json, |p| p.one(&token()).unwrap());
        insta::assert_snapshot!(printed, @r#"
        {
          "id": "api_1",
          "user_id": "018f",
          "grant_id": "019a",
          "display_name": "backup",
          "profile": "personal",
          "kind": "personal",
          "role_ids": [
            "clerk"
          ],
          "inherits_roles": true,
          "state": "revoked",
          "create_time": "2026-11-18T11:06:40Z",
          "expire_time": null,
          "revoke_time": "2026-11-18T11:06:41Z",
          "last_use_time": null,
          "parent_id": "api_0"
        }
        "#);
    }

    #[test]
    fn names_a_value_of_a_newer_server_unknown() {
        let key = pb::SigningKey { state: 77, ..pb::SigningKey::default() };
        assert_eq!(key.json()["state"], "unknown");
    }
}
