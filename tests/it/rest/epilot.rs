//! epilot, row by row.

use std::time::Duration;

use tokend::pb::DenyReason;

use super::table::{Row, rows};
use crate::support::http::Exchange;
use crate::support::{Verdict, World};
use requests::{
    DOCUMENTED, LIVES, PLAIN, QUERIES, THIRTY_DAYS, TOKENS, bearing, create, dead_secrets, delete,
    faults, list, made, owner, set_roles,
};

mod requests;

/// Holds an answer to its row, headers and all.
fn hold(row: &Row, exchange: &Exchange) {
    row.holds(exchange);
    row.holds_headers("epilot", exchange);
}

rows! { "epilot";
    E1 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        let request = create(&world, &secret, DOCUMENTED).header("content-type", "application/json");
        let made = request.send().await;
        hold(&row("E1"), &made);
        let token = made.json()["token"].as_str().unwrap().to_owned();
        let check = world.check(&token).profile("epilot").permission("token:create");
        assert_eq!(check.await, Verdict::Allow);
    }
    E2 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        hold(&row("E2"), &create(&world, &secret, PLAIN).send().await);
    }
    E3 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        let made = create(&world, &secret, THIRTY_DAYS).send().await;
        hold(&row("E3"), &made);
        assert_eq!(made.json()["created_at"], "2026-01-01T00:00:00Z");
        assert_eq!(made.json()["expires_at"], "2026-01-31T00:00:00.000Z");
    }
    E4 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        hold(&row("E4"), &create(&world, &secret, "").send().await);
        for (body, field) in faults() {
            let refused = create(&world, &secret, &body).send().await;
            row("E4").holds(&refused);
            let error = refused.json()["error"].as_str().unwrap().to_owned();
            let named = if field == "body" { field.to_owned() } else { format!("`{field}`") };
            assert!(error.contains(&named), "{body}: {error}");
        }
        let listed = list(&world, &secret).send().await;
        assert_eq!(listed.body, "[]");
    }
    E5 |row| {
        let world = World::start().await;
        for (reason, secret) in dead_secrets(&world).await {
            let refused = create(&world, &secret, PLAIN).send().await;
            assert_eq!(refused.status, 401, "{reason}: {refused}");
            hold(&row("E5"), &refused);
            row("E5").holds(&list(&world, &secret).send().await);
            row("E5").holds(&delete(&world, &secret, "api_5ZugdRXasLfWBypHi93Fk").send().await);
        }
        for request in [
            world.http().post(TOKENS).body(PLAIN),
            world.http().get(TOKENS),
            world.http().delete(&format!("{TOKENS}/x")),
        ] {
            row("E5").holds(&request.send().await);
        }
        let ann = world.user("ann").await;
        let basic = world.http().get(TOKENS).basic("ann", &ann.password);
        row("E5").holds(&basic.send().await);
    }
    E6 |row| {
        let world = World::start().await;
        let ann = world.user("ann").await;
        let secret = ann.sign_in().await.operation;
        hold(&row("E6"), &create(&world, &secret, PLAIN).send().await);
        hold(&row("E6"), &create(&world, &secret, DOCUMENTED).send().await);
    }
    E7 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        world.admin().put_role("other", ["orders:read"]).await;
        let (narrow, _) = made(&world, &secret, DOCUMENTED).await;
        for (secret, role) in [(&secret, "other"), (&secret, "none"), (&narrow, "other")] {
            let body = format!(r#"{{"name":"a","assume_roles":["123:owner","{role}"]}}"#);
            let refused = create(&world, secret, &body).send().await;
            row("E7").holds(&refused);
            assert!(refused.body.contains(&format!("`{role}`")), "{refused}");
        }
        let body = r#"{"name":"a","assignments":["other"]}"#;
        hold(&row("E7"), &create(&world, &secret, body).send().await);
    }
    E8 |row| {
        let world = World::start().await;
        let (owner, secret) = owner(&world).await;
        row("E8").with("[]").holds(&list(&world, &secret).send().await);
        // None of these is on the list.
        let admin = world.admin().sign_in().await.operation;
        made(&world, &admin, PLAIN).await;
        owner.sign_in_to("personal").await;
        let (_, gone) = made(&world, &secret, PLAIN).await;
        delete(&world, &secret, &gone).send().await;
        made(&world, &secret, r#"{"name":"short","expires_in":30}"#).await;
        world.advance(Duration::from_secs(31));
        made(&world, &secret, DOCUMENTED).await;
        world.advance(Duration::from_secs(1));
        made(&world, &secret, r#"{"name":"Token for my application","expires_in":"1w"}"#).await;
        let listed = list(&world, &secret).send().await;
        hold(&row("E8").with("Postman"), &listed);
    }
    E9 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        let revoker = world.user("revoker").with(["token:revoke"]).await;
        let revoker = revoker.sign_in().await.operation;
        // By its owner, by one who may end another's, and by the very token.
        for by in [Some(&secret), Some(&revoker), None] {
            let (token, id) = made(&world, &secret, DOCUMENTED).await;
            let ended = delete(&world, by.unwrap_or(&token), &id).send().await;
            hold(&row("E9"), &ended);
            assert_eq!(ended.json()["id"], *id);
            assert_eq!(world.check(&token).await, Verdict::Deny(DenyReason::RevokedToken));
        }
    }
    E10 |row| {
        let world = World::start().await;
        let (owner, secret) = owner(&world).await;
        let admin = world.admin().sign_in().await.operation;
        let (foreign, foreign_id) = made(&world, &admin, PLAIN).await;
        let (_, revoked) = made(&world, &secret, PLAIN).await;
        delete(&world, &secret, &revoked).send().await;
        let (_, expired) = made(&world, &secret, r#"{"name":"a","expires_in":30}"#).await;
        world.advance(Duration::from_secs(31));
        let other_profile = owner.sign_in_to("personal").await;
        let ids = ["api_5ZugdRXasLfWBypHi93Fk", "x", &foreign_id, &revoked, &expired];
        for id in ids.into_iter().chain([&*other_profile.token.id]) {
            hold(&row("E10"), &delete(&world, &secret, id).send().await);
        }
        assert_eq!(world.check(&foreign).await, Verdict::Allow);
        assert_eq!(world.check(&other_profile.operation).await, Verdict::Allow);
    }
    E11 |row| {
        // A bearer is held by no limit of today's, and one on sign-ins must not reach them: what
        // the dialect says of a limit is tested where the server is told to have one.
        assert_eq!(row("E11").status, 429);
        let world = World::with(|settings| {
            settings.sign_in.burst = 1;
            settings.sign_in.rate_per_minute = 1;
        })
        .await;
        let admin = world.admin().sign_in().await.operation;
        for _ in 0..3 {
            assert_eq!(create(&world, &admin, PLAIN).send().await.status, 201);
        }
    }
    E12 |row| {
        let world = World::start().await;
        let keys = world.http().get(&format!("{TOKENS}/.well-known/jwks.json")).send().await;
        row("E12").holds(&keys);
        assert_eq!(keys.headers["content-type"], "application/json");
        assert_eq!(keys.headers["cache-control"], "public, max-age=300");
        assert_eq!(keys.body, world.http().get("/.well-known/jwks.json").send().await.body);
    }
    E13 |row| {
        let world = World::start().await;
        let token = format!("{TOKENS}/api_5ZugdRXasLfWBypHi93Fk");
        let keys = format!("{TOKENS}/.well-known/jwks.json");
        for (path, methods, allow) in [
            (TOKENS, ["PUT", "PATCH", "DELETE", "OPTIONS"], "GET, HEAD, POST"),
            (&token, ["GET", "PUT", "POST", "OPTIONS"], "DELETE"),
            (&keys, ["POST", "PUT", "DELETE", "OPTIONS"], "GET, HEAD"),
        ] {
            for method in methods {
                let refused = world.http().request(method, path).body("{").send().await;
                row("E13").holds(&refused);
                assert_eq!(refused.headers["allow"], allow, "{method} {path}");
            }
        }
    }

    F1 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        let (_, first) = made(&world, &secret, PLAIN).await;
        let (token, second) = made(&world, &secret, PLAIN).await;
        assert_ne!(first, second);
        assert_eq!(world.check(&second).await, Verdict::Deny(DenyReason::UnknownToken));
        assert_eq!(world.check(&token).await, Verdict::Allow);
    }
    F2 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        let answer = create(&world, &secret, PLAIN).send().await;
        assert_eq!(answer.headers["cache-control"], "no-store");
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        let listed = list(&world, &secret).send().await;
        assert!(listed.json()[0].get("token").is_none(), "{listed}");
        let ended = delete(&world, &secret, &id).send().await;
        assert!(ended.json().get("token").is_none(), "{ended}");
        for (name, bytes) in world.database().contents() {
            let held = bytes.windows(token.len()).any(|window| window == token.as_bytes());
            assert!(!held, "{name}");
        }
    }
    F3 |row| {
        let world = World::start().await;
        let (owner, secret) = owner(&world).await;
        for body in [
            r#"{"name":"Postman Access Token","assignments":["123:owner"]}"#,
            r#"{"name":"Postman Access Token","assignments":["123:owner"],"assume_roles":["123:owner"]}"#,
        ] {
            row("E1").holds(&create(&world, &secret, body).send().await);
        }
        let none = create(&world, &secret, r#"{"name":"a","assume_roles":[]}"#).send().await;
        assert_eq!((none.status, &none.json()["assignments"]), (201, &serde_json::json!([])));
        let (follows, _) = made(&world, &secret, PLAIN).await;
        let (bounded, _) = made(&world, &secret, DOCUMENTED).await;
        let (heir, _) = made(&world, &bounded, PLAIN).await;
        world.admin().put_role("new", ["orders:read"]).await;
        set_roles(&world, &owner, ["123:owner", "new"]).await;
        let may = async |secret: &str, permission: &str| {
            world.check(secret).permission(permission).await == Verdict::Allow
        };
        assert!(may(&follows, "orders:read").await);
        assert!(!may(&bounded, "orders:read").await);
        assert!(!may(&heir, "orders:read").await);
        assert!(may(&heir, "token:create").await);
        set_roles(&world, &owner, ["new"]).await;
        assert!(!may(&bounded, "token:create").await);
        assert!(!may(&heir, "token:create").await);
    }
    F4 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        for (life, end) in LIVES {
            let body = format!(r#"{{"name":"a","expires_in":{life}}}"#);
            let made = create(&world, &secret, &body).send().await;
            assert_eq!(made.json()["expires_at"], end, "{life}: {made}");
            let listed = list(&world, &secret).send().await;
            let id = made.json()["id"].as_str().unwrap().to_owned();
            assert!(listed.body.contains(end), "{listed}");
            let ended = delete(&world, &secret, &id).send().await;
            assert_eq!(ended.json()["expires_at"], end, "{life}");
        }
        let (short, _) = made(&world, &secret, r#"{"name":"a","expires_in":30}"#).await;
        world.advance(Duration::from_secs(31));
        assert_eq!(world.check(&short).await, Verdict::Deny(DenyReason::ExpiredToken));
    }
    F5 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        world.advance(Duration::from_millis(1999));
        let made = create(&world, &secret, PLAIN).send().await;
        assert_eq!(made.json()["created_at"], "2026-01-01T00:00:01Z");
    }
    F6 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        let typed =
            r#"{"name":"Postman Access Token","token_type":"api","assume_roles":["123:owner"]}"#;
        row("E1").holds(&create(&world, &secret, typed).send().await);
        let all = list(&world, &secret).send().await.body;
        for (query, found) in QUERIES {
            let request = world.http().get(&format!("{TOKENS}?{query}"));
            let listed = bearing(request, &secret).send().await;
            let expected = if found { &all } else { "[]" };
            assert_eq!((listed.status, &*listed.body), (200, expected), "{query}");
            let nobody = world.http().get(&format!("{TOKENS}?{query}"));
            row("E5").holds(&bearing(nobody, "x").send().await);
        }
    }
    F7 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        for accept in ["text/html", "application/xml", "*/*;q=0", "nonsense"] {
            let request = create(&world, &secret, DOCUMENTED).header("accept", accept);
            row("E1").holds(&request.send().await);
            assert_eq!(list(&world, &secret).header("accept", accept).send().await.status, 200);
        }
    }
    F8 |row| {
        let world = World::start().await;
        let lacks = world.user("ann").await.sign_in().await.operation;
        for (body, _) in faults() {
            row("E5").holds(&create(&world, "x", &body).send().await);
            row("E5").holds(&world.http().post(TOKENS).body(body.clone()).send().await);
            row("E4").holds(&create(&world, &lacks, &body).send().await);
        }
        for id in ["x", "%ff", "api_5ZugdRXasLfWBypHi93Fk"] {
            row("E5").holds(&delete(&world, "x", id).send().await);
        }
        row("E13").holds(&world.http().request("PUT", TOKENS).send().await);
        let large = create(&world, "x", &"a".repeat(65537)).send().await;
        let expected = r#"{"status":413,"error":"Payload Too Large"}"#;
        assert_eq!((large.status, &*large.body), (413, expected));
    }
    F9 |row| {
        let world = World::start().await;
        let (owner, secret) = owner(&world).await;
        let by = |value: &str| world.http().post(TOKENS).header("authorization", value).body(PLAIN);
        for scheme in ["Bearer", "bearer", "BEARER "] {
            row("E2").holds(&by(&format!("{scheme} {secret}")).send().await);
        }
        for value in [
            format!("Token {secret}"),
            secret.clone(),
            "Bearer".to_owned(),
            format!("Bearer {secret} {secret}"),
            format!("Bearer {secret},"),
        ] {
            row("E5").holds(&by(&value).send().await);
        }
        let value = format!("Bearer {secret}");
        row("E5").holds(&by(&value).header("authorization", &value).send().await);
        let basic = world.http().post(TOKENS).basic("owner", &owner.password).body(PLAIN);
        row("E5").holds(&basic.send().await);
    }
    F10 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        let typed = |kind: &str| create(&world, &secret, DOCUMENTED).header("content-type", kind);
        for kind in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "text/json",
            "application/vnd.api+json",
        ] {
            row("E1").holds(&typed(kind).send().await);
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "json", "application/xml"] {
            let refused = typed(kind).send().await;
            row("E4").holds(&refused);
            assert!(refused.body.contains("`Content-Type`"), "{refused}");
        }
        row("E4").holds(&typed("application/json").header("content-type", "a/b").send().await);
        let latin = bearing(world.http().post(TOKENS), &secret).body(b"{\"name\":\"\xe4\"}");
        row("E4").holds(&latin.send().await);
    }
    F11 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        let (narrow, own) = made(&world, &secret, DOCUMENTED).await;
        let (_, sibling) = made(&world, &secret, PLAIN).await;
        row("E6").holds(&list(&world, &narrow).send().await);
        row("E10").holds(&delete(&world, &narrow, &sibling).send().await);
        row("E9").holds(&delete(&world, &narrow, &own).send().await);
    }
    F12 |row| {
        let world = World::start().await;
        let (owner, secret) = owner(&world).await;
        for n in 0..501 {
            owner.draft("epilot").named(&format!("{n}")).make().await.expect("a token");
            world.advance(Duration::from_millis(1));
        }
        let listed = list(&world, &secret).send().await.json();
        let names: Vec<_> = listed.as_array().unwrap().iter().map(|item| &item["name"]).collect();
        let newest_first: Vec<_> = (0..501).rev().map(|n| n.to_string()).collect();
        assert_eq!(names, newest_first.iter().collect::<Vec<_>>());
    }
    F13 |row| {
        let world = World::start().await;
        let (_, secret) = owner(&world).await;
        let long = "a".repeat(300);
        for id in ["%FF%00", "%00", "a%2Fb", "a;b", "%F0%9F%98%80", "'", &long] {
            row("E10").holds(&delete(&world, &secret, id).send().await);
        }
    }
    F14 |row| {
        let realms = |settings: &mut tokend::config::Settings| {
            settings.realms = vec!["tenant".to_owned()];
        };
        let world = World::with(realms).await;
        let tenant = world.user("landlord").of("tenant").with(["token:create"]).await;
        let (token, _) = made(&world, &tenant.sign_in().await.operation, PLAIN).await;
        assert_eq!(world.check(&token).realm("tenant").await, Verdict::Allow);
        let world = World::with(|settings| {
            realms(settings);
            settings.rest.epilot.realm = Some("default".to_owned());
        })
        .await;
        let tenant = world.user("landlord").of("tenant").with(["token:create"]).await;
        let foreign = tenant.sign_in().await.operation;
        row("E5").holds(&create(&world, &foreign, PLAIN).send().await);
        row("E5").holds(&create(&world, &foreign, "{").send().await);
        row("E5").holds(&list(&world, &foreign).send().await);
        row("E5").holds(&delete(&world, &foreign, "x").send().await);
        let (_, secret) = owner(&world).await;
        row("E2").holds(&create(&world, &secret, PLAIN).send().await);
    }
    F15 |row| {
        let world = World::start().await;
        let (owner, secret) = owner(&world).await;
        let (parent, id) = made(&world, &secret, DOCUMENTED).await;
        let (rotated, _) = made(&world, &parent, PLAIN).await;
        let ours = owner.sign_in_to("epilot").await.draft("personal");
        let ours = ours.make().await.expect("a token").token;
        row("E9").holds(&delete(&world, &secret, &id).send().await);
        assert_ne!(world.check(&parent).await, Verdict::Allow);
        assert_eq!(world.check(&rotated).await, Verdict::Allow);
        assert!(!ours.parent_id.is_empty(), "another profile's dies with it");
    }
}
