//! Whole commands, against a server that has its answers ready.

use canned::{Call, Canned, Keyboard, tokend};

use super::{Environment, Error, Outcome, Standing};
use crate::pb;

mod canned;

fn alice() -> pb::User {
    let (id, username) = ("u-1".to_owned(), "alice".to_owned());
    pb::User { id, username, role_ids: vec!["clerk".to_owned()], ..pb::User::default() }
}

fn found() -> pb::GetUserResponse {
    pb::GetUserResponse { user: Some(alice()) }
}

fn caller() -> pb::GetCallerResponse {
    pb::GetCallerResponse { user: Some(alice()), token: None, roles: vec![] }
}

fn bearer() -> Standing {
    Standing::Remote(Environment { token: Some("tkd_me".into()), password: None })
}

fn nobody() -> Standing {
    Standing::Remote(Environment::default())
}

fn made() -> pb::CreateTokenResponse {
    let token = pb::Token { id: "t-1".to_owned(), ..pb::Token::default() };
    let secret = "tkd_secret".to_owned();
    let token = Some(pb::IssuedToken { token: Some(token), secret });
    pb::CreateTokenResponse { token, refresh_token: None }
}

#[tokio::test]
async fn sends_the_credentials_and_a_deadline_with_every_call() {
    let server = Canned::default().then(&pb::ListUsersResponse::default());
    let environment = Environment { token: Some("ignored".into()), password: Some("pw".into()) };
    let line = "user list --as bob --as-realm shop";
    tokend(line, &server, Standing::Remote(environment), Keyboard::pipe(&[])).await.done();
    let call = &server.calls()[0];
    assert_eq!(call.header("authorization"), Some("Basic Ym9iOnB3"));
    assert_eq!(call.header("tokend-realm"), Some("shop"));
    assert!(call.header("grpc-timeout").is_some());
}

#[tokio::test]
async fn needs_no_credentials_as_the_operator() {
    let server = Canned::default().then(&pb::ListUsersResponse::default());
    let ran = tokend("user list", &server, Standing::Operator, Keyboard::pipe(&[])).await;
    ran.done();
    assert_eq!(server.calls()[0].header("authorization"), None);
}

#[tokio::test]
async fn says_what_is_missing_where_nobody_can_be_asked() {
    let server = Canned::default();
    let ran = tokend("user list", &server, nobody(), Keyboard::pipe(&[])).await;
    assert!(matches!(ran.outcome, Err(Error::NoCredentials)));
    let ran = tokend("user list --as bob", &server, nobody(), Keyboard::pipe(&[])).await;
    assert_eq!(
        ran.outcome.unwrap_err().to_string(),
        "there is no terminal to ask for the password on: use TOKEND_PASSWORD"
    );
    assert!(server.calls().is_empty());
}

#[tokio::test]
async fn asks_for_a_token_where_somebody_can_be_asked() {
    let server = Canned::default().then(&pb::ListUsersResponse::default());
    tokend("user list", &server, nobody(), Keyboard::terminal(&["tkd_typed"])).await.done();
    assert_eq!(server.calls()[0].header("authorization"), Some("Bearer tkd_typed"));
}

#[tokio::test]
async fn refuses_credentials_that_contradict_each_other_or_the_operator() {
    for (line, standing) in [
        ("user list --as bob --token-stdin", nobody()),
        ("user list --as-realm shop", bearer()),
        ("user list --as bob", Standing::Operator),
        ("user list --token-stdin", Standing::Operator),
    ] {
        let server = Canned::default();
        let ran = tokend(line, &server, standing, Keyboard::pipe(&["x", "y"])).await;
        assert!(ran.outcome.is_err(), "{line}");
        assert!(server.calls().is_empty(), "{line}");
    }
}

#[tokio::test]
async fn lists_users_of_all_pages() {
    let page = |next: &str| pb::ListUsersResponse {
        users: vec![alice()],
        next_page_token: next.to_owned(),
    };
    let server = Canned::default().then(&page("p2")).then(&page(""));
    let line = "user list --realm shop --output json";
    let ran = tokend(line, &server, Standing::Operator, Keyboard::pipe(&[])).await;
    let users: Vec<serde_json::Value> = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(users.len(), 2);
    let asked: Vec<pb::ListUsersRequest> = server.calls().iter().map(Call::message).collect();
    assert_eq!((asked[1].realm.as_str(), asked[1].page_token.as_str()), ("shop", "p2"));
}

#[tokio::test]
async fn takes_the_new_users_password_only_if_typed_alike_twice() {
    use pb::create_user_request::Credential;
    let server = Canned::default();
    let line = "user add alice --role clerk";
    let ran = tokend(line, &server, Standing::Operator, Keyboard::terminal(&["one", "two"])).await;
    assert!(matches!(ran.outcome, Err(Error::PasswordsDiffer)));
    assert!(server.calls().is_empty());

    let server = server.then(&pb::CreateUserResponse { user: Some(alice()) });
    let ran = tokend(line, &server, Standing::Operator, Keyboard::terminal(&["one", "one"])).await;
    assert_eq!(ran.out, "alice is made, with the id u-1\n");
    let asked: pb::CreateUserRequest = server.calls()[0].message();
    assert!(matches!(asked.credential, Some(Credential::Password(it)) if it == "one"));
    assert_eq!(asked.role_ids, ["clerk"]);
}

#[tokio::test]
async fn makes_a_user_without_a_password_only_if_told_so() {
    let server = Canned::default().then(&pb::CreateUserResponse { user: Some(alice()) });
    let line = "user add alice --no-password";
    tokend(line, &server, Standing::Operator, Keyboard::pipe(&[])).await.done();
    let asked: pb::CreateUserRequest = server.calls()[0].message();
    assert!(asked.credential.is_none());

    let line = "user add alice --password-stdin";
    let ran = tokend(line, &server, Standing::Operator, Keyboard::pipe(&[])).await;
    assert!(matches!(ran.outcome, Err(Error::EmptySecret("password"))));
}

#[tokio::test]
async fn asks_for_the_old_password_where_it_is_ones_own() {
    let set = pb::SetPasswordResponse { revoked_grant_count: 2 };
    let server = Canned::default().then(&caller()).then(&found()).then(&set);
    let keyboard = Keyboard::terminal(&["old", "new", "new"]);
    tokend("user passwd alice", &server, bearer(), keyboard).await.done();
    let asked: pb::SetPasswordRequest = server.calls()[2].message();
    assert_eq!(asked.old_password, "old");

    let server = Canned::default().then(&caller()).then(&set);
    let keyboard = Keyboard::pipe(&["old", "new"]);
    tokend("user passwd --password-stdin", &server, bearer(), keyboard).await.done();
    let asked: pb::SetPasswordRequest = server.calls()[1].message();
    assert_eq!((asked.user_id.as_str(), asked.old_password.as_str()), ("u-1", "old"));
}

#[tokio::test]
async fn asks_the_operator_for_no_old_password() {
    let set = pb::SetPasswordResponse { revoked_grant_count: 2 };
    let server = Canned::default().then(&found()).then(&set);
    let keyboard = Keyboard::terminal(&["new", "new"]);
    let ran = tokend("user passwd alice", &server, Standing::Operator, keyboard).await;
    assert_eq!(ran.out, "The password of alice is set; 2 sign-ins have ended\n");
    let asked: pb::SetPasswordRequest = server.calls()[1].message();
    assert_eq!(asked.old_password, "");
}

#[tokio::test]
async fn shows_roles_sets_them_and_takes_all_away() {
    let set = pb::SetUserRolesResponse { user: Some(alice()) };
    let server = Canned::default().then(&found());
    let ran = tokend("user roles alice", &server, Standing::Operator, Keyboard::pipe(&[])).await;
    assert_eq!((ran.out.as_str(), server.calls().len()), ("clerk\n", 1));
    for (line, roles) in
        [("user roles alice a b", vec!["a", "b"]), ("user roles alice --none", vec![])]
    {
        let server = Canned::default().then(&found()).then(&set);
        tokend(line, &server, Standing::Operator, Keyboard::pipe(&[])).await.done();
        let asked: pb::SetUserRolesRequest = server.calls()[1].message();
        assert_eq!(asked.role_ids, roles, "{line}");
    }
}

#[tokio::test]
async fn prints_the_secret_alone_and_the_remark_elsewhere() {
    use pb::create_token_request::Credential;
    let server = Canned::default().then(&found()).then(&made());
    let line = "token create --profile personal --name n --user alice --ttl 30d --no-roles";
    let ran = tokend(line, &server, Standing::Operator, Keyboard::pipe(&[])).await;
    assert_eq!(ran.out, "tkd_secret\n");
    assert!(ran.notes.contains("t-1") && !ran.notes.contains("tkd_secret"), "{}", ran.notes);
    let asked: pb::CreateTokenRequest = server.calls()[1].message();
    assert!(matches!(asked.credential, Some(Credential::UserId(id)) if id == "u-1"));
    assert_eq!(asked.roles, Some(pb::RoleSelection::default()));
}

#[tokio::test]
async fn makes_tokens_for_others_as_the_operator_only() {
    let line = "token create --profile personal --name n";
    let server = Canned::default();
    let ran = tokend(line, &server, Standing::Operator, Keyboard::pipe(&[])).await;
    assert!(matches!(ran.outcome, Err(Error::OperatorIsNoUser(_))));
    let ran = tokend(&format!("{line} --user bob"), &server, bearer(), Keyboard::pipe(&[])).await;
    assert!(matches!(ran.outcome, Err(Error::TokenForAnother)));

    let server = server.then(&made());
    tokend(line, &server, bearer(), Keyboard::pipe(&[])).await.done();
    let call = &server.calls()[0];
    let asked: pb::CreateTokenRequest = call.message();
    assert!(asked.credential.is_none() && asked.roles.is_none());
    assert_eq!(call.header("authorization"), Some("Bearer tkd_me"));
}

#[tokio::test]
async fn revokes_a_secret_without_credentials() {
    use pb::revoke_token_request::Target;
    let answer = pb::RevokeTokenResponse { token: None, revoked_count: 1, stale_for: None };
    let server = Canned::default().then(&answer);
    let keyboard = Keyboard::pipe(&["tkd_x"]);
    let ran = tokend("token revoke --secret-stdin", &server, nobody(), keyboard).await;
    assert_eq!(ran.out, "1 token has ended\n");
    let asked: pb::RevokeTokenRequest = server.calls()[0].message();
    assert!(matches!(asked.target, Some(Target::Secret(it)) if it == "tkd_x"));
    assert!(!asked.skip_wait);
}

#[tokio::test]
async fn tells_deny_from_allow_by_its_outcome() {
    let allow = pb::AuthorizeResponse {
        decision: pb::Decision::Allow.into(),
        subject: Some(pb::Subject { username: "alice".to_owned(), ..pb::Subject::default() }),
        ..pb::AuthorizeResponse::default()
    };
    let deny = pb::AuthorizeResponse {
        decision: pb::Decision::Deny.into(),
        deny_reason: pb::DenyReason::MissingPermission.into(),
        missing_permissions: vec!["orders:read".to_owned()],
        ..allow.clone()
    };
    let line = "token check --permission orders:read";
    let unclear = pb::AuthorizeResponse::default();
    for (answer, outcome, begins) in [
        (&allow, Outcome::Done, "decision  ALLOW\n"),
        (&deny, Outcome::Denied, "decision  DENY\nreason    missing permission\n"),
        (&unclear, Outcome::Denied, "decision  DENY\n"),
    ] {
        let server = Canned::default().then(answer);
        let ran = tokend(line, &server, nobody(), Keyboard::pipe(&["tkd_x"])).await;
        assert_eq!(ran.outcome.unwrap(), outcome);
        assert!(ran.out.starts_with(begins), "{}", ran.out);
        let asked: pb::AuthorizeRequest = server.calls()[0].message();
        assert_eq!(
            (asked.token.as_str(), asked.permissions),
            ("tkd_x", vec!["orders:read".into()])
        );
    }
}

#[tokio::test]
async fn prints_a_check_as_the_contract_names_it() {
    let deny = pb::AuthorizeResponse {
        decision: pb::Decision::Deny.into(),
        deny_reason: pb::DenyReason::UnknownToken.into(),
        facts_age: Some(prost_types::Duration::default()),
        ..pb::AuthorizeResponse::default()
    };
    let server = Canned::default().then(&deny);
    let line = "token check --output json";
    let ran = tokend(line, &server, Standing::Operator, Keyboard::terminal(&["x"])).await;
    insta::assert_snapshot!(ran.out, @r#"
    {
      "decision": "deny",
      "deny_reason": "unknown_token",
      "token": null,
      "subject": null,
      "missing_permissions": [],
      "facts_age": "0s"
    }
    "#);
}

#[tokio::test]
async fn says_in_words_what_the_server_refused() {
    let server = Canned::default().then_refuse(tonic::Status::unimplemented("raw"));
    let ran = tokend("user show alice", &server, bearer(), Keyboard::pipe(&[])).await;
    assert_eq!(
        ran.outcome.unwrap_err().to_string(),
        "the server doesn't know this command: it may be of an older version"
    );
    assert_eq!(ran.out, "");
}
