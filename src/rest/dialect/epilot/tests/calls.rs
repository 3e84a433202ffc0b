//! What the server is asked, and how its answers are shown.

use std::sync::atomic::{AtomicUsize, Ordering};

use prost_types::Timestamp;
use tonic::Code;

use super::{
    BEARER, DOCUMENTED, ID, NOT_FOUND, TOKEN, answer, create, delete, failing, good, issued, list,
    plain, token,
};
use crate::client::REALM;
use crate::pb::create_token_request::Lifetime;
use crate::pb::revoke_token_request::Target;
use crate::pb::{
    CreateTokenRequest, ErrorReason, ListTokensRequest, ListTokensResponse, RevokeTokenRequest,
    RevokeTokenResponse, RoleSelection, TokenState,
};
use crate::rest::Settings;
use crate::rest::tests::fake::{Asked, Fake, failure, invalid, seen};

#[tokio::test]
async fn e1_creates_with_the_documented_request() {
    let world = good().start();
    let response = world.send(create(DOCUMENTED)).await;
    let body = TOKEN.replacen('{', "{\"token\":\"tkd_made\",", 1);
    assert_eq!(seen(&response, &["cache-control"]), (201, vec!["no-store".into()], body));
    let (metadata, message) = world.asked();
    let role_ids = vec!["123:owner".to_owned()];
    let asked = CreateTokenRequest {
        profile: "epilot".to_owned(),
        display_name: "Postman Access Token".to_owned(),
        roles: Some(RoleSelection { role_ids }),
        ..CreateTokenRequest::default()
    };
    assert_eq!(message, Asked::Create(asked));
    assert_eq!(metadata.get("authorization").unwrap(), BEARER);
    assert!(metadata.get(REALM).is_none());
}

#[tokio::test]
async fn e2_e3_leaves_to_the_server_what_is_not_asked_for() {
    let lives = |seconds| Some(Lifetime::Ttl(prost_types::Duration { seconds, nanos: 0 }));
    let none = Some(RoleSelection { role_ids: Vec::new() });
    let cases = [
        ("", None, None),
        (r#","assignments":[]"#, None, none.clone()),
        (r#","expires_in":30"#, lives(30), None),
        (r#","expires_in":3.6e3"#, lives(3600), None),
        (r#","expires_in":"30d""#, lives(2_592_000), None),
        (r#","token_type":"api","assume_roles":[],"assignments":[]"#, None, none),
    ];
    for (rest, lifetime, roles) in cases {
        let world = good().start();
        let body = format!("{{\"name\":\"a\"{rest}}}");
        assert_eq!(answer(&world, create(body)).await.0, 201, "{rest}");
        let asked = CreateTokenRequest {
            profile: "epilot".to_owned(),
            display_name: "a".to_owned(),
            lifetime,
            roles,
            ..CreateTokenRequest::default()
        };
        assert_eq!(world.asked().1, Asked::Create(asked), "{rest}");
    }
}

#[tokio::test]
async fn e3_writes_the_end_where_there_is_one() {
    let mut ends = token();
    ends.expire_time = Some(Timestamp { seconds: 1_569_248_122, nanos: 0 });
    let world = Fake { create: Box::new(move || Ok(issued(ends.clone()))), ..good() }.start();
    let (status, body) = plain(&world, create(DOCUMENTED)).await;
    assert_eq!(status, 201);
    assert!(body.ends_with(",\"expires_at\":\"2019-09-23T14:15:22.000Z\"}"), "{body}");
}

#[tokio::test]
async fn e4_names_the_field_as_the_client_did() {
    let cases: [(&[&str], &str, &str); 7] = [
        (&["display_name"], "{\"name\":\"a\"}", "`name` must be "),
        (&["ttl"], "{\"name\":\"a\",\"expires_in\":30}", "`expires_in` must be "),
        (&["roles.role_ids"], "{\"name\":\"a\",\"assignments\":[]}", "`assignments` must be "),
        (&["roles.role_ids[0]"], "{\"name\":\"a\",\"assignments\":[]}", "`assignments` must be "),
        (&["roles.role_ids[1]"], DOCUMENTED, "`assume_roles` must be "),
        (&["roles.role_ids[1]", "ttl"], DOCUMENTED, "`expires_in` must be "),
        (&["profile", "display_name"], DOCUMENTED, "`name` must be "),
    ];
    for (fields, body, words) in cases {
        let world = failing(|| invalid(fields)).start();
        let (status, text) = plain(&world, create(body)).await;
        assert_eq!(status, 400, "{fields:?}");
        let start = format!("{{\"status\":400,\"error\":\"{words}");
        assert!(text.starts_with(&start), "{fields:?}: {text}");
    }
}

#[tokio::test]
async fn e4_shows_little_of_what_is_hostile() {
    let long = "k".repeat(30_000);
    let depth = "[".repeat(65_000);
    let many: Vec<_> = (0..7000).map(|n| format!("\"{n}\":0")).collect();
    let cases = [
        (format!("{{\"name\":\"a\",\"{long}\":1}}"), format!("`{}` is no", "k".repeat(64))),
        (format!("{{\"{long}\":1,\"{long}\":1}}"), format!("`{}` comes twice", "k".repeat(64))),
        (depth, "The body nests too deep".to_owned()),
        (format!("{{\"name\":\"a\",{}}}", many.join(",")), "` is no property".to_owned()),
        (r#"{"name":"\ud800"}"#.to_owned(), "The body must be".to_owned()),
        (r#"{"name":"a","expires_in":1e999}"#.to_owned(), "The body must be".to_owned()),
        (r#"{"name":"a"} {"name":"a"}"#.to_owned(), "The body must be".to_owned()),
        ("{\"name\":\"a\",\"x\\r\\n\\u001b\":1}".to_owned(), "`x` is no property".to_owned()),
    ];
    let world = good().start();
    for (body, words) in cases {
        let (status, text) = plain(&world, create(body)).await;
        assert_eq!(status, 400);
        assert!(text.contains(&words), "{text}");
        assert!(text.len() < 200, "{text}");
        assert_eq!(world.asked().1, Asked::Caller);
    }
}

#[tokio::test]
async fn e8_lists_live_tokens_over_all_pages() {
    let calls = AtomicUsize::new(0);
    let pages = move || {
        let page = calls.fetch_add(1, Ordering::Relaxed);
        let mut token = token();
        token.id = format!("page {page}");
        let next_page_token = if page < 2 { format!("to {}", page + 1) } else { String::new() };
        Ok(ListTokensResponse { tokens: vec![token], next_page_token })
    };
    let world = Fake { list: Box::new(pages), ..good() }.start();
    let (status, body) = plain(&world, list()).await;
    let page = |n: u32| TOKEN.replace(ID, &format!("page {n}"));
    assert_eq!((status, body), (200, format!("[{},{},{}]", page(0), page(1), page(2))));
    let asked = world.all_asked().into_iter().map(|(_, message)| message);
    let expected = ["", "to 1", "to 2"].map(|page| {
        Asked::List(ListTokensRequest {
            user_id: String::new(),
            profile: "epilot".to_owned(),
            states: vec![TokenState::Active.into()],
            page_size: 500,
            page_token: page.to_owned(),
        })
    });
    assert_eq!(asked.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn e8_ends_a_list_that_has_no_end() {
    let endless =
        || Ok(ListTokensResponse { tokens: vec![token()], next_page_token: "more".to_owned() });
    let world = Fake { list: Box::new(endless), ..good() }.start();
    let (status, body) = plain(&world, list()).await;
    assert_eq!((status, body.matches(ID).count()), (200, 40));
    assert_eq!(world.all_asked().len(), 40);
}

#[tokio::test]
async fn e9_deletes_in_the_name_of_the_caller() {
    let settings = Settings::default();
    let mut epilot = settings.epilot.clone();
    epilot.realm = Some("tenant".to_owned());
    epilot.profile = "other".to_owned();
    let settings = Settings { epilot, ..settings };
    let world = Fake { settings, ..good() }.start();
    assert_eq!(plain(&world, delete(ID)).await, (200, TOKEN.to_owned()));
    let (metadata, message) = world.asked();
    let asked = RevokeTokenRequest {
        target: Some(Target::TokenId(ID.to_owned())),
        profile: "other".to_owned(),
        skip_wait: false,
    };
    assert_eq!(message, Asked::Revoke(asked));
    assert_eq!(metadata.get("authorization").unwrap(), BEARER);
    assert_eq!(metadata.get(REALM).unwrap(), "tenant");
}

#[tokio::test]
async fn e10_finds_no_token_that_is_not_there_to_delete() {
    let dead = Fake {
        revoke: Box::new(|| {
            Ok(RevokeTokenResponse { token: Some(token()), revoked_count: 0, stale_for: None })
        }),
        ..good()
    };
    let fakes = [
        dead,
        failing(|| failure(Code::NotFound, ErrorReason::TokenNotFound)),
        failing(|| invalid(&["token_id"])),
    ];
    for fake in fakes {
        assert_eq!(plain(&fake.start(), delete(ID)).await, (404, NOT_FOUND.to_owned()));
    }
}

#[tokio::test]
async fn e10_passes_on_whatever_the_path_holds() {
    for (path, id) in
        [("%ff", "\u{fffd}"), ("a%2Fb", "a/b"), ("%00", "\0"), ("%2e%2e", ".."), ("a;b", "a;b")]
    {
        let world = failing(|| failure(Code::NotFound, ErrorReason::TokenNotFound)).start();
        assert_eq!(plain(&world, delete(path)).await, (404, NOT_FOUND.to_owned()), "{path}");
        let asked = RevokeTokenRequest {
            target: Some(Target::TokenId(id.to_owned())),
            profile: "epilot".to_owned(),
            skip_wait: false,
        };
        assert_eq!(world.asked().1, Asked::Revoke(asked), "{path}");
    }
}
