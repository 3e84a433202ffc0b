//! Magento, row by row: JSON and XML.

mod facts;

use tokend::pb::{DenyReason, UserState};

use super::table::{Row, rows};
use crate::support::http::{Exchange, HttpRequest};
use crate::support::{ADMIN_PASSWORD, Actor, Verdict, World};

const ADMIN: &str = "/V1/integration/admin/token";
const CUSTOMER: &str = "/V1/integration/customer/token";
const REVOKE: &str = "/V1/integration/customer/revoke-customer-token";
const OPERATIONS: [&str; 3] = [ADMIN, CUSTOMER, REVOKE];

const JSON: &str = "application/json";
const XML: &str = "application/xml";

/// Holds an answer to its row, headers and all.
fn hold(row: &Row, exchange: &Exchange) {
    row.holds(exchange);
    row.holds_headers("magento", exchange);
}

/// Holds the headers of what no row tells of to a snapshot.
fn hold_headers(name: &str, exchange: &Exchange) {
    insta::assert_snapshot!(format!("magento_{name}"), exchange.headers());
}

fn post(world: &World, path: &str, content_type: &str, body: impl Into<Vec<u8>>) -> HttpRequest {
    world.http().post(path).header("content-type", content_type).body(body)
}

fn fields(name: &str, password: &str) -> String {
    serde_json::json!({"username": name, "password": password}).to_string()
}

fn login(name: &str, password: &str) -> String {
    format!("<login><username>{name}</username><password>{password}</password></login>")
}

/// Asks for a token in JSON.
fn create(world: &World, path: &str, name: &str, password: &str) -> HttpRequest {
    post(world, path, JSON, fields(name, password))
}

/// Asks for the first user's token, in both forms of a body.
fn by_admin(world: &World) -> [HttpRequest; 2] {
    let json = create(world, ADMIN, "admin", ADMIN_PASSWORD);
    [json, post(world, ADMIN, XML, login("admin", ADMIN_PASSWORD))]
}

async fn customer(world: &World) -> Actor {
    world.user("customer1@example.com").of("customers").await
}

async fn token(world: &World, path: &str, user: &Actor) -> String {
    let made = create(world, path, &user.username, &user.password).send().await;
    made.json().as_str().expect("a token").to_owned()
}

fn revoke(world: &World, token: &str) -> HttpRequest {
    world.http().post(REVOKE).header("authorization", &format!("Bearer {token}"))
}

/// What may stand before `/V1`.
fn prefixes() -> impl Iterator<Item = String> {
    let index = ["", "/index.php"].into_iter();
    index.flat_map(|index| {
        ["", "/rest", "/rest/default", "/rest/all"].map(|rest| format!("{index}{rest}"))
    })
}

/// Sends bodies to both token routes, and holds each answer to the row.
async fn refused(row: &Row, bodies: &[(&str, &str)]) {
    let world = World::start().await;
    for path in [ADMIN, CUSTOMER] {
        for (content_type, body) in bodies {
            hold(row, &post(&world, path, content_type, *body).send().await);
        }
    }
}

rows! { "magento";
    M1 |row| {
        let world = World::start().await;
        let made = create(&world, ADMIN, "admin", ADMIN_PASSWORD).send().await;
        hold(&row("M1"), &made);
        let secret = made.json().as_str().unwrap().to_owned();
        assert_eq!(world.check(&secret).profile("magento-admin").await, Verdict::Allow);
        let carol = customer(&world).await;
        let made = create(&world, CUSTOMER, &carol.username, &carol.password).send().await;
        hold(&row("M1"), &made);
        let secret = made.json().as_str().unwrap().to_owned();
        let check = world.check(&secret).realm("customers").profile("magento-customer");
        assert_eq!(check.await, Verdict::Allow);
    }
    M2 |row| {
        let world = World::start().await;
        let carol = customer(&world).await;
        let off = world.user("off").with(["orders:read"]).await;
        world.admin().set_state(&off, UserState::Disabled).await;
        let locked = world.user("locked").with(["orders:read"]).await;
        for _ in 0..6 {
            let tried = create(&world, ADMIN, "locked", "wrong").send().await;
            row("M2").holds(&tried);
        }
        for (path, name, password) in [
            (ADMIN, "admin", "wrong"),
            (CUSTOMER, &*carol.username, "wrong"),
            (ADMIN, "nobody", "wrong"),
            (CUSTOMER, "nobody", "wrong"),
            (ADMIN, "off", &*off.password),
            (ADMIN, "locked", &*locked.password),
            (ADMIN, &*carol.username, &*carol.password),
            (CUSTOMER, "admin", ADMIN_PASSWORD),
        ] {
            hold(&row("M2"), &create(&world, path, name, password).send().await);
            let xml = post(&world, path, XML, login(name, password)).send().await;
            row("M2").holds(&xml);
        }
    }
    M3 |row| {
        refused(&row("M3").with("\"password\""), &[
            (JSON, r#"{"username":"a"}"#),
            (JSON, r#"{"username":"a","password":""}"#),
            (JSON, r#"{"username":"a","password":null}"#),
            (XML, "<login><username>a</username></login>"),
            (XML, "<login><username>a</username><password/></login>"),
            (XML, "<login><username>a</username><password> \n </password></login>"),
        ])
        .await;
        refused(&row("M3").with("\"username\""), &[
            (JSON, r#"{"password":"a"}"#),
            (JSON, r#"{"username":"","password":"a"}"#),
            (JSON, r#"{"username":null,"password":"a"}"#),
            (XML, "<login><password>a</password></login>"),
            (XML, "<login><username></username><password>a</password></login>"),
        ])
        .await;
    }
    M4 |row| {
        refused(&row("M4"), &[
            (JSON, ""),
            (XML, ""),
            ("text/plain", ""),
            (JSON, "{}"),
            (JSON, r#"{"username":"","password":null}"#),
            (JSON, "null"),
            (JSON, "1"),
            (JSON, "true"),
            (JSON, r#""username""#),
            (JSON, r#"["username","password"]"#),
            (XML, "<login/>"),
            (XML, "<login></login>"),
            (XML, "<login>username</login>"),
            (XML, "<username>a</username>"),
        ])
        .await;
        let world = World::start().await;
        hold(&row("M4"), &world.http().post(ADMIN).send().await);
    }
    M5 |row| {
        refused(&row("M5"), &[
            (JSON, r#"{"username":"a","password":[]}"#),
            (JSON, r#"{"username":"a","password":["b"]}"#),
            (JSON, r#"{"username":{},"password":"b"}"#),
            (JSON, r#"{"username":{"a":"b"}}"#),
            (XML, "<login><username>a</username><password><b/></password></login>"),
            (XML, "<login><username>a</username><username>a</username></login>"),
        ])
        .await;
    }
    M6 |row| {
        refused(&row("M6"), &[
            (JSON, "{"),
            (JSON, "not json"),
            (JSON, " "),
            (JSON, "<login/>"),
            (XML, "<login>"),
            (XML, "not xml"),
            (XML, " "),
            (XML, "{}"),
            (XML, "<login><username>a</login></username>"),
        ])
        .await;
        let world = World::start().await;
        let bytes = post(&world, ADMIN, JSON, b"{\"username\":\"\xff\"}".as_slice());
        row("M6").holds(&bytes.send().await);
    }
    M7 |row| {
        let world = World::start().await;
        let none = world.http().post(ADMIN).body("{}").send().await;
        hold(&row("M7").with("empty"), &none);
        let body = fields("admin", ADMIN_PASSWORD);
        for (content_type, words) in [
            ("", "empty"),
            ("json", "invalid"),
            ("application/json, text/plain", "invalid"),
            ("application/json; charset=utf-8; charset=utf-8", "invalid"),
            ("application/json; charset=utf-16", "only supported charset"),
            ("application/xml; charset=\"ISO-8859-1\"", "only supported charset"),
            ("text/plain", "text\\/plain"),
            ("TEXT/PLAIN; charset=UTF-8", "text\\/plain"),
        ] {
            let answered = post(&world, CUSTOMER, content_type, &*body).send().await;
            row("M7").with(words).holds(&answered);
        }
        let form = "application/x-www-form-urlencoded";
        let answered = post(&world, ADMIN, form, "username=a&password=b").send().await;
        assert!(answered.body.ends_with(r#"media type application\/x-www-form-urlencoded"}"#));
        let twice = post(&world, ADMIN, JSON, &*body).header("content-type", JSON);
        row("M7").with("invalid").holds(&twice.send().await);
    }
    M8 |row| {
        let world = World::start().await;
        for path in [
            "/V1/",
            "/V1/integration",
            "/V1/integration/admin/token/",
            "/V1/integration/Admin/token",
            "/V1/customers/me",
            "/rest/",
            "/rest/V1/customers/2",
            "/rest/nowhere/V1/integration/admin/token",
            "/rest/default/V2/integration/admin/token",
            "/index.php/",
            "/index.php/index.php/V1/integration/admin/token",
            "/index.php/rest/nowhere/V1/integration/customer/token",
        ] {
            hold(&row("M8"), &create(&world, path, "admin", ADMIN_PASSWORD).send().await);
            row("M8").holds(&world.http().get(path).send().await);
        }
        for path in prefixes().flat_map(|prefix| OPERATIONS.map(|path| format!("{prefix}{path}"))) {
            for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"] {
                hold(&row("M8"), &world.http().request(method, &path).send().await);
            }
        }
        // The vendor's `/V1` is not another's `/v1`.
        let small = create(&world, "/v1/integration/admin/token", "admin", ADMIN_PASSWORD);
        assert_eq!(small.send().await.body, r#"{"error":"not found"}"#);
    }
    M9 |row| {
        let world = World::start().await;
        let ann = world.user("ann").await;
        hold(&row("M9"), &create(&world, ADMIN, "ann", &ann.password).send().await);
        let xml = post(&world, ADMIN, XML, login("ann", &ann.password)).send().await;
        row("M9").holds(&xml);
        row("M2").holds(&create(&world, ADMIN, "ann", "wrong").send().await);
    }
    M10 |row| {
        let world = World::start().await;
        let carol = customer(&world).await;
        let live = token(&world, CUSTOMER, &carol).await;
        for value in ["Bearer anything", "Bearer", &*format!("Bearer {live}"), "Basic !"] {
            for (path, name, password) in [
                (ADMIN, "admin", ADMIN_PASSWORD),
                (CUSTOMER, &*carol.username, &*carol.password),
            ] {
                let asked = create(&world, path, name, password).header("authorization", value);
                hold(&row("M10"), &asked.send().await);
                let asked = create(&world, path, name, "wrong").header("authorization", value);
                row("M2").holds(&asked.send().await);
            }
        }
    }
    M11 |row| {
        let world = World::start().await;
        let carol = customer(&world).await;
        let dave = world.user("dave").of("customers").await;
        let [first, second] =
            [token(&world, CUSTOMER, &carol).await, token(&world, CUSTOMER, &carol).await];
        let spared = token(&world, CUSTOMER, &dave).await;
        hold(&row("M11"), &revoke(&world, &first).send().await);
        for secret in [&first, &second] {
            let verdict = world.check(secret).realm("customers").await;
            assert_eq!(verdict, Verdict::Deny(DenyReason::RevokedToken));
        }
        assert_eq!(world.check(&spared).realm("customers").await, Verdict::Allow);
        row("M12").holds(&revoke(&world, &second).send().await);
    }
    M12 |row| {
        let world = World::start().await;
        let carol = customer(&world).await;
        let live = token(&world, CUSTOMER, &carol).await;
        let admin = token(&world, ADMIN, &world.admin()).await;
        let other = carol.sign_in().await.operation;
        let unknown = "0".repeat(32);
        hold(&row("M12"), &world.http().post(REVOKE).send().await);
        for value in [
            "",
            "Bearer",
            "Bearer a b",
            "Bearer \u{e9}",
            &*format!("Bearer {unknown}"),
            &*format!("Bearer {admin}"),
            &*format!("Bearer {other}"),
            &*format!("Token {live}"),
            "Basic YWRtaW46YWRtaW4=",
        ] {
            let asked = world.http().post(REVOKE).header("authorization", value);
            row("M12").holds(&asked.send().await);
        }
        let twice = revoke(&world, &live).header("authorization", &format!("Bearer {live}"));
        row("M12").holds(&twice.send().await);
        assert_eq!(world.check(&live).realm("customers").await, Verdict::Allow);
        world.admin().set_state(&carol, UserState::Disabled).await;
        let refused = revoke(&world, &live).send().await;
        row("M12").holds(&refused);
        hold_headers("M12_judged", &refused);
    }
    M13 |row| {
        let world = World::with(|settings| {
            settings.sign_in.burst = 1;
            settings.sign_in.rate_per_minute = 1;
        })
        .await;
        let [first, second] = by_admin(&world);
        row("M1").holds(&first.send().await);
        let throttled = second.send().await;
        row("M13").holds(&throttled);
        let seconds: u64 = throttled.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{throttled}");
        let customer = create(&world, CUSTOMER, "carol", "wrong").header("accept", XML);
        let text = "<?xml version=\"1.0\"?>\n\
            <response>\n  <message>Too many requests.</message>\n</response>\n";
        assert_eq!(customer.send().await.body, text);
    }

    F1 |row| { facts::lives_for_ever(row).await; }
    F2 |row| { Box::pin(facts::has_equal_paths(row)).await; }
    F3 |row| { facts::judges_in_order(row).await; }
    F4 |row| { facts::answers_json(row).await; }
    F5 |row| { facts::answers_xml(row).await; }
    F6 |row| { facts::answers_by_accept_alone(row).await; }
    F7 |row| { facts::reads_the_documented_bodies(row).await; }
    F8 |row| { facts::takes_values_as_text(row).await; }
    F9 |row| { facts::refuses_hostile_bodies(row).await; }
    F10 |row| { facts::keeps_the_order_of_keys(row).await; }
    F11 |row| { facts::sends_no_challenge(row).await; }
    F12 |row| { facts::locks_a_name(row).await; }
    F13 |row| { facts::tells_what_a_token_may_do(row).await; }
    F14 |row| { facts::revokes_other_profiles_too(row).await; }
    F15 |row| { facts::names_the_status(row).await; }
    F16 |row| { facts::takes_the_impossible_for_wrong(row).await; }
    F17 |row| { facts::forbids_to_store_tokens(row).await; }
}
