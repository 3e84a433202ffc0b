//! Magento, row by row: JSON and XML.

use std::time::Duration;

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

    F1 |row| {
        let world = World::start().await;
        let [first, second] =
            [token(&world, ADMIN, &world.admin()).await, token(&world, ADMIN, &world.admin()).await];
        assert_ne!(first, second);
        world.advance(Duration::from_hours(24 * 365 * 100));
        for secret in [first, second] {
            assert_eq!(world.check(&secret).await, Verdict::Allow, "{}", row("M1").id);
        }
    }
    F2 |row| {
        let world = World::start().await;
        let carol = customer(&world).await;
        for prefix in prefixes() {
            let path = format!("{prefix}{ADMIN}");
            row("M1").holds(&create(&world, &path, "admin", ADMIN_PASSWORD).send().await);
            let path = format!("{prefix}{CUSTOMER}");
            let secret = token(&world, &path, &carol).await;
            let gone = world.http().post(&format!("{prefix}{REVOKE}"));
            let gone = gone.header("authorization", &format!("Bearer {secret}"));
            row("M11").holds(&gone.send().await);
        }
        let world = World::with(|settings| {
            settings.rest.magento.stores = vec!["shop_1".to_owned(), "shop_1".to_owned()];
            settings.rest.magento.base_path = "/magento".to_owned();
        })
        .await;
        for (path, expected) in [
            ("/magento/index.php/rest/shop_1/V1/integration/admin/token", "M1"),
            ("/magento/rest/default/V1/integration/admin/token", "M8"),
            ("/magento/V1/nothing", "M8"),
        ] {
            let asked = create(&world, path, "admin", ADMIN_PASSWORD).send().await;
            row(expected).holds(&asked);
        }
        let outside = create(&world, ADMIN, "admin", ADMIN_PASSWORD).send().await;
        assert_eq!(outside.body, r#"{"error":"not found"}"#);
    }
    F3 |row| {
        let world = World::start().await;
        row("M8").holds(&post(&world, "/V1/nothing", "json", "{").send().await);
        row("M12").holds(&post(&world, REVOKE, "json", "{").send().await);
        row("M6").holds(&post(&world, ADMIN, JSON, "{").send().await);
        let carol = customer(&world).await;
        let live = token(&world, CUSTOMER, &carol).await;
        row("M11").holds(&revoke(&world, &live).body("{").send().await);
    }
    F4 |row| {
        let world = World::start().await;
        for accept in ["*/*", "application/json", "application/*", "text/html", "application/xml;q=0"]
        {
            let [json, _] = by_admin(&world);
            let made = json.header("accept", accept).send().await;
            hold(&row("M1"), &made);
            assert_eq!(made.headers["content-type"], "application/json; charset=utf-8");
        }
    }
    F5 |row| {
        let world = World::start().await;
        let pattern = regex::Regex::new(
            "^<\\?xml version=\"1.0\"\\?>\n<response>[0-9a-z]{32}</response>\n$",
        )
        .unwrap();
        for accept in [
            "application/xml",
            "text/xml",
            "text/xml;q=0.9, application/json;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ] {
            let [json, _] = by_admin(&world);
            let made = json.header("accept", accept).send().await;
            assert!(pattern.is_match(&made.body), "{made}");
            hold_headers("F5", &made);
        }
        let refusal = |body: &str| post(&world, ADMIN, JSON, body).header("accept", "text/xml");
        let missing = refusal(r#"{"username":"a"}"#).send().await;
        assert_eq!(missing.status, row("M3").status);
        let text = "<?xml version=\"1.0\"?>\n<response>\n  \
            <message>%fieldName is a required field.</message>\n  \
            <parameters>\n    <fieldName>password</fieldName>\n  </parameters>\n</response>\n";
        assert_eq!(missing.body, text);
        hold_headers("F5_refused", &missing);
        let both = "<?xml version=\"1.0\"?>\n<response>\n  \
            <message>One or more input exceptions have occurred.</message>\n  <errors>\n    \
            <item>\n      <message>%fieldName is a required field.</message>\n      \
            <parameters>\n        <fieldName>username</fieldName>\n      </parameters>\n    \
            </item>\n    <item>\n      <message>%fieldName is a required field.</message>\n      \
            <parameters>\n        <fieldName>password</fieldName>\n      </parameters>\n    \
            </item>\n  </errors>\n</response>\n";
        assert_eq!(refusal("{}").send().await.body, both);
        let odd = post(&world, ADMIN, "a&b/c", "{}").header("accept", XML).send().await;
        assert!(odd.body.contains("media type a&amp;b/c</message>"), "{odd}");
        let carol = customer(&world).await;
        let live = token(&world, CUSTOMER, &carol).await;
        let gone = revoke(&world, &live).header("accept", XML).send().await;
        assert_eq!(gone.body, "<?xml version=\"1.0\"?>\n<response>true</response>\n");
        let nowhere = world.http().get("/V1/nothing").header("accept", XML).send().await;
        let text = "<?xml version=\"1.0\"?>\n<response>\n  \
            <message>Request does not match any route.</message>\n</response>\n";
        assert_eq!((nowhere.status, &*nowhere.body), (404, text));
    }
    F6 |row| {
        let world = World::start().await;
        for request in by_admin(&world) {
            row("M1").holds(&request.send().await);
        }
        for request in by_admin(&world) {
            let made = request.header("accept", XML).send().await;
            assert!(made.body.starts_with("<?xml version=\"1.0\"?>\n<response>"), "{made}");
        }
    }
    F7 |row| {
        let world = World::start().await;
        let carol = customer(&world).await;
        // As the vendor's page sends them.
        let documented = "/index.php/rest/V1/integration/customer/token";
        let json = fields(&carol.username, &carol.password).replace(',', ", ");
        let xml = login(&carol.username, &carol.password);
        for (content_type, body) in [
            ("application/json", &json),
            ("application/json; charset=utf-8", &json),
            ("Application/JSON;Charset=\"UTF-8\"", &json),
            ("application/json; profile=x", &json),
            ("application/xml", &xml),
            ("text/xml; charset=UTF-8", &xml),
            ("application/xhtml+xml;charset=utf-8", &xml),
            ("application/xml", &xml.replace("login>", "x>")),
            ("application/xml", &format!("<?xml version=\"1.0\"?>\n{xml}\n")),
            ("application/xml", &xml.replace("<login>", "<login xmlns=\"urn:x\" a=\"b\">")),
            ("application/xml", &xml.replace("username>", "a:username>")
                .replacen("<login>", "<login xmlns:a=\"urn:a\">", 1)),
        ] {
            row("M1").holds(&post(&world, documented, content_type, &**body).send().await);
        }
    }
    F8 |row| {
        let world = World::start().await;
        let mut ann = world.user("12345").with(["orders:read"]).await;
        for (password, number) in [
            ("9223372036854775808", "9223372036854775808"),
            ("-17", "-17"),
            ("1000", "1e3"),
            ("1.5", "1.50"),
            ("1", "true"),
        ] {
            world.admin().set_password_of(&mut ann, password).await;
            let body = format!("{{\"username\":12345,\"password\":{number},\"more\":[{{}}]}}");
            row("M1").holds(&post(&world, ADMIN, JSON, body).send().await);
        }
        let empty = post(&world, ADMIN, JSON, r#"{"username":12345,"password":false}"#);
        row("M3").with("\"password\"").holds(&empty.send().await);
        world.admin().set_password_of(&mut ann, " a <&> b ").await;
        let escaped = login("12345", " a &lt;<!-- no more -->&#38;<![CDATA[>]]> b ");
        let body = escaped.replace("</login>", "<more x=\"y\"><deep/></more></login>");
        row("M1").holds(&post(&world, ADMIN, XML, body).send().await);
        row("M2").holds(&create(&world, ADMIN, "12345", "a <&> b").send().await);
        row("M2").holds(&create(&world, ADMIN, "12345", " a <&> b \n").send().await);
    }
    F9 |row| {
        let xml = login("admin", ADMIN_PASSWORD);
        let bomb = "<!DOCTYPE login [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
        let external = "<!DOCTYPE login [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>";
        let many: String = (0..80).map(|n| format!(" a{n}=\"\"")).collect();
        let good = fields("admin", ADMIN_PASSWORD);
        let twice = good.replacen('{', "{\"username\":\"admin\",", 1);
        refused(&row("M6"), &[
            (XML, &format!("<!DOCTYPE login>{xml}")),
            (XML, &format!("{bomb}{}", xml.replace("admin", "&b;"))),
            (XML, &format!("{external}{}", xml.replace("admin", "&a;"))),
            (XML, &xml.replace("admin", "&nbsp;")),
            (XML, &format!("<?php echo 1 ?>{xml}")),
            (XML, &format!("{xml}<login/>")),
            (XML, &format!("{xml}more")),
            (XML, &format!("<?xml version=\"1.0\" encoding=\"utf-16\"?>{xml}")),
            (XML, &xml.replace("<login>", &format!("<login{many}>"))),
            (XML, &"<a>".repeat(20_000)),
            (XML, &xml.replace("</login>", &format!("{}</login>", "<a/>".repeat(1100)))),
            (JSON, &twice),
            (JSON, &good.replacen('{', "{\"x\":1,\"x\":2,", 1)),
            (JSON, &format!("{good}{good}")),
            (JSON, &"[".repeat(60_000)),
            (JSON, &good.replace("admin", "\\ud800")),
            (JSON, "{\"username\":1e999,\"password\":\"a\"}"),
        ])
        .await;
        refused(&row("M5"), &[
            (XML, &xml.replace("<username>", "<username a=\"b\">")),
            (XML, &xml.replace("<password>", "<password>a</password><password>")),
            (XML, &xml.replace("admin", "<b>admin</b>")),
        ])
        .await;
    }
    F10 |row| {
        let world = World::start().await;
        let both = post(&world, ADMIN, JSON, "{}").send().await.json();
        let keys: Vec<_> = both.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["message", "errors"]);
        let keys: Vec<_> = both["errors"][0].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["message", "parameters"]);
        let one = world.http().post(REVOKE).send().await.json();
        let keys: Vec<_> = one.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["message", "parameters"]);
        assert_eq!(one["message"], "Consumer is not authorized to access %resources");
        let slashed = post(&world, ADMIN, "text/plain", "a").send().await;
        row("M7").with("text\\/plain").holds(&slashed);
    }
    F11 |row| {
        let world = World::start().await;
        let wrong = create(&world, ADMIN, "admin", "wrong").send().await;
        let none = world.http().post(REVOKE).send().await;
        for (id, exchange) in [("M2", &wrong), ("M12", &none)] {
            row(id).holds(exchange);
            assert!(!exchange.headers.contains_key("www-authenticate"), "{exchange}");
        }
    }
    F12 |row| {
        let world = World::start().await;
        let carol = customer(&world).await;
        let try_with = |password: &str| create(&world, CUSTOMER, &carol.username, password);
        for _ in 0..5 {
            row("M2").holds(&try_with("wrong").send().await);
        }
        row("M1").holds(&try_with(&carol.password).send().await);
        for _ in 0..6 {
            row("M2").holds(&try_with("wrong").send().await);
        }
        world.advance(Duration::from_secs(1799));
        for password in [&*carol.password, "wrong"] {
            row("M2").holds(&try_with(password).send().await);
        }
        world.advance(Duration::from_secs(1));
        row("M1").holds(&try_with(&carol.password).send().await);
    }
    F13 |row| {
        let world = World::start().await;
        let ann = world.user("ann").with(["orders:read"]).await;
        let carol = world.user("carol").of("customers").with(["orders:read@self"]).await;
        let admin = token(&world, ADMIN, &ann).await;
        let own = token(&world, CUSTOMER, &carol).await;
        let missing = Verdict::Deny(DenyReason::MissingPermission);
        let orders = |secret: &str| world.check(secret).realm("*").permission("orders:read");
        assert_eq!(orders(&admin).await, Verdict::Allow, "{}", row("M1").id);
        assert_eq!(orders(&own).owned_by(&carol.id).await, Verdict::Allow);
        assert_eq!(orders(&own).owned_by(&ann.id).await, missing);
        assert_eq!(orders(&own).await, missing);
        world.admin().put_role("anonymous", ["catalog:read"]).await;
        for secret in ["", "0123"] {
            let guest = || world.check(secret).or_guest();
            assert_eq!(guest().permission("catalog:read").await, Verdict::Allow);
            assert_ne!(guest().permission("orders:read").await, Verdict::Allow);
        }
    }
    F14 |row| {
        let world = World::start().await;
        let carol = world.user("carol").of("customers").with(["orders:read@self"]).await;
        let other = carol.sign_in().await.operation;
        let narrowed = carol.draft("magento-customer").roles([]).make().await.unwrap().operation;
        row("M12").holds(&revoke(&world, &narrowed).send().await);
        assert_eq!(world.check(&other).realm("customers").await, Verdict::Allow);
        let live = token(&world, CUSTOMER, &carol).await;
        row("M11").holds(&revoke(&world, &live).send().await);
        for secret in [&other, &narrowed, &live] {
            let verdict = world.check(secret).realm("customers").await;
            assert_eq!(verdict, Verdict::Deny(DenyReason::RevokedToken));
        }
        let live = token(&world, CUSTOMER, &carol).await;
        row("M11").holds(&revoke(&world, &live).send().await);
    }
    F15 |row| {
        let world = World::start().await;
        let paths = OPERATIONS.map(str::to_owned).into_iter();
        for path in paths.chain(["/V1/nothing".to_owned(), format!("/index.php/rest/all{ADMIN}")]) {
            let large = || post(&world, &path, JSON, vec![b'a'; 65_537]);
            let refused = large().send().await;
            let json = r#"{"message":"Payload Too Large"}"#;
            assert_eq!((refused.status, &*refused.body), (413, json));
            let refused = large().header("accept", XML).send().await;
            let xml = "<?xml version=\"1.0\"?>\n\
                <response>\n  <message>Payload Too Large</message>\n</response>\n";
            assert_eq!((refused.status, &*refused.body), (413, xml));
        }
        let mut fitting = fields("admin", ADMIN_PASSWORD);
        fitting.extend(std::iter::repeat_n(' ', 65_536 - fitting.len()));
        row("M1").holds(&post(&world, ADMIN, JSON, fitting).send().await);
    }
    F16 |row| {
        let world = World::start().await;
        let (long_name, long) = ("n".repeat(256), "p".repeat(1025));
        for (name, password) in
            [("a:b", "p"), ("a\nb", "p"), (&*long_name, "p"), ("admin", &*long), ("admin", "a\0b")]
        {
            for path in [ADMIN, CUSTOMER] {
                hold(&row("M2"), &create(&world, path, name, password).send().await);
            }
        }
    }
    F17 |row| {
        let world = World::start().await;
        for accept in ["application/json", "application/xml"] {
            for request in by_admin(&world) {
                let made = request.header("accept", accept).send().await;
                assert_eq!(made.status, row("M1").status);
                assert_eq!(made.headers["cache-control"], "no-store");
            }
        }
    }
}
