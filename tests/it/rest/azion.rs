//! Azion, row by row.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokend::pb::{DenyReason, UpdateUserRequest, UserState};

use super::table::{Row, rows};
use crate::support::http::{Exchange, HttpRequest};
use crate::support::{ADMIN_PASSWORD, Verdict, World};

/// Holds an answer to its row, headers and all.
fn hold(row: &Row, exchange: &Exchange) {
    row.holds(exchange);
    row.holds_headers("azion", exchange);
}

fn create(world: &World) -> HttpRequest {
    world.http().post("/tokens")
}

fn delete(world: &World, token: &str) -> HttpRequest {
    world.http().delete(&format!("/tokens/{token}"))
}

async fn token(world: &World, name: &str, password: &str) -> String {
    let made = create(world).basic(name, password).send().await;
    made.json()["token"].as_str().expect("a token").to_owned()
}

fn encoded(pair: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

/// What an `Authorization` header must be answered with, on both paths.
async fn refused(row: &Row, headers: &[&str]) {
    let world = World::start().await;
    for header in headers {
        let with = |request: HttpRequest| match *header {
            "" => request,
            value => request.header("authorization", value),
        };
        hold(row, &with(create(&world)).send().await);
        row.holds(&with(delete(&world, "0000")).send().await);
    }
}

rows! { "azion";
    A1 |row| {
        let world = World::start().await;
        let made = create(&world).basic("admin", ADMIN_PASSWORD).send().await;
        hold(&row("A1"), &made);
        let secret = made.json()["token"].as_str().unwrap().to_owned();
        assert_eq!(world.check(&secret).profile("azion").await, Verdict::Allow);
    }
    A2 |row| {
        let world = World::start().await;
        for end in ["\n", "\r\n"] {
            let password = format!("{ADMIN_PASSWORD}{end}");
            hold(&row("A2"), &create(&world).basic("admin", &password).send().await);
        }
    }
    A3 |row| {
        let world = World::with(|settings| settings.sign_in.lockout.failures = 2).await;
        let off = world.user("off").await;
        let request = UpdateUserRequest {
            user_id: off.id.clone(),
            state: UserState::Disabled.into(),
            ..UpdateUserRequest::default()
        };
        world.admin().api().update_user(request).await.unwrap();
        let ann = world.user("ann").await;
        let cases = [
            ("ann", "wrong"),
            ("nobody", "wrong"),
            ("off", off.password.as_str()),
            ("ann", "wrong"),
            // Locked by now: the right password, too.
            ("ann", ann.password.as_str()),
        ];
        for (name, password) in cases {
            hold(&row("A3"), &create(&world).basic(name, password).send().await);
        }
        world.advance(Duration::from_hours(1));
        assert_eq!(create(&world).basic("ann", &ann.password).send().await.status, 201);
    }
    A4 |row| { refused(&row("A4"), &["", "Digest abc", "Bearer abc", "Token abc"]).await; }
    A5 |row| { refused(&row("A5"), &["Basic", "basic ", "BASIC"]).await; }
    A6 |row| { refused(&row("A6"), &["Basic a b", "Basic YTpi YTpi"]).await; }
    A7 |row| {
        let colonless = encoded(b"admin");
        let bytes = encoded(b"admin:\xff\xfe");
        refused(&row("A7"), &["Basic !!!", &colonless, &bytes]).await;
    }
    A8 |row| {
        let world = World::start().await;
        for accept in ["application/json; version=4", "application/json;version=0"] {
            // Judged before the credentials, of which there are none.
            hold(&row("A8"), &create(&world).header("accept", accept).send().await);
            row("A8").holds(&delete(&world, "0").header("accept", accept).send().await);
        }
    }
    A9 |row| {
        let world = World::start().await;
        for accept in ["text/html", "application/xml, text/*", "application/json;q=0"] {
            hold(&row("A9"), &create(&world).header("accept", accept).send().await);
            row("A9").holds(&delete(&world, "0").header("accept", accept).send().await);
        }
    }
    A10 |row| {
        let world = World::start().await;
        hold(&row("A10"), &world.http().get("/tokens").send().await);
        for method in ["PUT", "PATCH", "DELETE"] {
            let refused = world.http().request(method, "/tokens").send().await;
            row("A10").holds(&refused);
            assert!(refused.body.contains(method));
        }
    }
    A11 |row| {
        let world = World::start().await;
        let secret = token(&world, "admin", ADMIN_PASSWORD).await;
        let gone = delete(&world, &secret).basic("admin", ADMIN_PASSWORD).send().await;
        hold(&row("A11"), &gone);
        assert!(!gone.headers.contains_key("content-type"));
        assert_eq!(world.check(&secret).await, Verdict::Deny(DenyReason::RevokedToken));
        // The documented newline signs in here, too.
        let secret = token(&world, "admin", ADMIN_PASSWORD).await;
        let password = format!("{ADMIN_PASSWORD}\n");
        row("A11").holds(&delete(&world, &secret).basic("admin", &password).send().await);
    }
    A12 |row| {
        let world = World::start().await;
        let ann = world.user("ann").await;
        let foreign = token(&world, "admin", ADMIN_PASSWORD).await;
        let revoked = token(&world, "ann", &ann.password).await;
        delete(&world, &revoked).basic("ann", &ann.password).send().await;
        let expired = token(&world, "ann", &ann.password).await;
        world.advance(Duration::from_hours(25));
        let other_profile = ann.sign_in().await.operation;
        let unknown = "0".repeat(40);
        for secret in [&*unknown, "x", "%FF%00", &foreign, &revoked, &expired, &other_profile] {
            let refused = delete(&world, secret).basic("ann", &ann.password).send().await;
            hold(&row("A12"), &refused);
        }
        assert_eq!(world.check(&other_profile).await, Verdict::Allow);
    }
    A13 |row| {
        let world = World::start().await;
        let secret = token(&world, "admin", ADMIN_PASSWORD).await;
        hold(&row("A13"), &delete(&world, &secret).basic("admin", "wrong").send().await);
        row("A4").holds(&delete(&world, &secret).send().await);
        assert_eq!(world.check(&secret).await, Verdict::Allow);
    }
    A14 |row| {
        let world = World::with(|settings| {
            settings.sign_in.burst = 1;
            settings.sign_in.rate_per_minute = 1;
        })
        .await;
        assert_eq!(create(&world).basic("admin", ADMIN_PASSWORD).send().await.status, 201);
        let throttled = create(&world).basic("admin", ADMIN_PASSWORD).send().await;
        row("A14").holds(&throttled);
        let seconds = throttled.headers["retry-after"].to_str().unwrap().to_owned();
        assert!(throttled.body.contains(&format!("available in {seconds} second")), "{throttled}");
    }
    A15 |row| {
        let world = World::start().await;
        hold(&row("A15"), &world.http().request("OPTIONS", "/tokens").send().await);
    }
    A16 |row| {
        let world = World::start().await;
        hold(&row("A16"), &world.http().get("/tokens/abc").send().await);
        for method in ["POST", "PUT", "PATCH"] {
            let refused = world.http().request(method, "/tokens/abc").send().await;
            row("A16").holds(&refused);
            assert!(refused.body.contains(method), "{refused}");
        }
    }
    A17 |row| {
        let world = World::start().await;
        let long = "p".repeat(1025);
        for (name, password) in [("", "p"), ("admin", ""), ("admin", &*long), ("admin", "a\0b")] {
            hold(&row("A17"), &create(&world).basic(name, password).send().await);
            row("A17").holds(&delete(&world, "0").basic(name, password).send().await);
        }
    }

    F1 |row| {
        assert_eq!(row("A1").status, 201);
    }
    F2 |row| {
        let world = World::start().await;
        let made = create(&world).basic("admin", ADMIN_PASSWORD).send().await;
        let json = made.json();
        let keys: Vec<_> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["token", "created_at", "expires_at"]);
        assert!(made.body.starts_with(r#"{"token":""#), "{made}");
        assert_eq!(json["created_at"], "2026-01-01 00:00:00.000000+00:00");
        assert_eq!(json["expires_at"], "2026-01-02 00:00:00.000000+00:00");
    }
    F3 |row| {
        let world = World::start().await;
        for body in ["", "not json", "{}"] {
            let made = create(&world).basic("admin", ADMIN_PASSWORD).body(body).send().await;
            row("A1").holds(&made);
        }
        let large = create(&world).basic("admin", ADMIN_PASSWORD).body(vec![b'a'; 65537]);
        let refused = large.send().await;
        assert_eq!((refused.status, &*refused.body), (413, r#"{"detail":"Payload Too Large"}"#));
    }
    F4 |row| {
        let world = World::start().await;
        for accept in [
            "application/json; version=1",
            "application/json;version=2",
            "application/json; version=3",
            "application/json",
            "*/*",
            "text/html, */*;q=0.1",
        ] {
            let request = create(&world).basic("admin", ADMIN_PASSWORD).header("accept", accept);
            row("A1").holds(&request.send().await);
        }
    }
    F5 |row| {
        let world = World::start().await;
        let wrong = || world.http().get("/tokens").header("accept", "text/html");
        row("A10").holds(&wrong().send().await);
        row("A9").holds(&create(&world).header("accept", "text/html").send().await);
    }
    F6 |row| {
        let world = World::with(|settings| settings.sign_in.lockout.failures = 3).await;
        let ann = world.user("ann").await;
        // Two tries each, but one attempt: the name is not locked by the second request.
        for _ in 0..2 {
            row("A3").holds(&create(&world).basic("ann", "wrong\n").send().await);
        }
        let padded = format!("{}\n\n", ann.password);
        row("A1").holds(&create(&world).basic("ann", &format!("{}\n", ann.password)).send().await);
        row("A3").holds(&create(&world).basic("ann", &padded).send().await);
        row("A3").holds(&create(&world).basic("ann", &format!(" {}", ann.password)).send().await);
    }
    F7 |row| {
        let world = World::start().await;
        row("A3").holds(&create(&world).basic("admin:x", ADMIN_PASSWORD).send().await);
    }
    F8 |row| {
        let world = World::start().await;
        let secret = token(&world, "admin", ADMIN_PASSWORD).await;
        delete(&world, &secret).basic("admin", ADMIN_PASSWORD).send().await;
        let metrics = world.management().get("/metrics").send().await;
        assert!(metrics.body.contains("tokend_rpc_total"), "{metrics}");
        assert!(!metrics.body.contains(&secret));
    }
    F9 |row| {
        let world = World::start().await;
        let pair = encoded(format!("admin:{ADMIN_PASSWORD}").as_bytes());
        for scheme in ["basic", "BASIC"] {
            let value = pair.replacen("Basic", scheme, 1);
            row("A1").holds(&create(&world).header("authorization", &value).send().await);
        }
        let secret = token(&world, "admin", ADMIN_PASSWORD).await;
        for scheme in ["Token", "token", "Bearer"] {
            let api = world.nobody().with("authorization", format!("{scheme} {secret}"));
            let caller = api.get_caller(tokend::pb::GetCallerRequest {}).await.unwrap();
            assert_eq!(caller.user.unwrap().username, "admin");
        }
    }
}
