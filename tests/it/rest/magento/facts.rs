//! The facts of Magento's page, one by one.

use std::time::Duration;

use tokend::pb::DenyReason;

use super::super::table::Row;
use super::{
    ADMIN, CUSTOMER, JSON, OPERATIONS, REVOKE, XML, by_admin, create, customer, fields, hold,
    hold_headers, login, post, prefixes, refused, revoke, token,
};
use crate::support::{ADMIN_PASSWORD, Verdict, World};

/// F1.
pub(super) async fn lives_for_ever(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    let [first, second] =
        [token(&world, ADMIN, &world.admin()).await, token(&world, ADMIN, &world.admin()).await];
    assert_ne!(first, second);
    world.advance(Duration::from_hours(24 * 365 * 100));
    for secret in [first, second] {
        assert_eq!(world.check(&secret).await, Verdict::Allow, "{}", row("M1").id);
    }
}

/// F2.
pub(super) async fn has_equal_paths(row: impl Fn(&str) -> Row) {
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
        "/magento".clone_into(&mut settings.rest.magento.base_path);
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

/// F3.
pub(super) async fn judges_in_order(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    row("M8").holds(&post(&world, "/V1/nothing", "json", "{").send().await);
    row("M12").holds(&post(&world, REVOKE, "json", "{").send().await);
    row("M6").holds(&post(&world, ADMIN, JSON, "{").send().await);
    let carol = customer(&world).await;
    let live = token(&world, CUSTOMER, &carol).await;
    row("M11").holds(&revoke(&world, &live).body("{").send().await);
}

/// F4.
pub(super) async fn answers_json(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    for accept in ["*/*", "application/json", "application/*", "text/html", "application/xml;q=0"] {
        let [json, _] = by_admin(&world);
        let made = json.header("accept", accept).send().await;
        hold(&row("M1"), &made);
        assert_eq!(made.headers["content-type"], "application/json; charset=utf-8");
    }
}

/// F5.
pub(super) async fn answers_xml(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    let pattern =
        regex::Regex::new("^<\\?xml version=\"1.0\"\\?>\n<response>[0-9a-z]{32}</response>\n$")
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

/// F6.
pub(super) async fn answers_by_accept_alone(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    for request in by_admin(&world) {
        row("M1").holds(&request.send().await);
    }
    for request in by_admin(&world) {
        let made = request.header("accept", XML).send().await;
        assert!(made.body.starts_with("<?xml version=\"1.0\"?>\n<response>"), "{made}");
    }
}

/// F7.
pub(super) async fn reads_the_documented_bodies(row: impl Fn(&str) -> Row) {
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
        (
            "application/xml",
            &xml.replace("username>", "a:username>").replacen(
                "<login>",
                "<login xmlns:a=\"urn:a\">",
                1,
            ),
        ),
    ] {
        row("M1").holds(&post(&world, documented, content_type, &**body).send().await);
    }
}

/// F8.
pub(super) async fn takes_values_as_text(row: impl Fn(&str) -> Row) {
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

/// F9.
pub(super) async fn refuses_hostile_bodies(row: impl Fn(&str) -> Row) {
    let xml = login("admin", ADMIN_PASSWORD);
    let bomb = "<!DOCTYPE login [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
    let external = "<!DOCTYPE login [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>";
    let many: Vec<_> = (0..80).map(|n| format!("a{n}=\"\"")).collect();
    let good = fields("admin", ADMIN_PASSWORD);
    let twice = good.replacen('{', "{\"username\":\"admin\",", 1);
    refused(
        &row("M6"),
        &[
            (XML, &format!("<!DOCTYPE login>{xml}")),
            (XML, &format!("{bomb}{}", xml.replace("admin", "&b;"))),
            (XML, &format!("{external}{}", xml.replace("admin", "&a;"))),
            (XML, &xml.replace("admin", "&nbsp;")),
            (XML, &format!("<?php echo 1 ?>{xml}")),
            (XML, &format!("{xml}<login/>")),
            (XML, &format!("{xml}more")),
            (XML, &format!("<?xml version=\"1.0\" encoding=\"utf-16\"?>{xml}")),
            (XML, &xml.replace("<login>", &format!("<login {}>", many.join(" ")))),
            (XML, &"<a>".repeat(20_000)),
            (XML, &xml.replace("</login>", &format!("{}</login>", "<a/>".repeat(1100)))),
            (JSON, &twice),
            (JSON, &good.replacen('{', "{\"x\":1,\"x\":2,", 1)),
            (JSON, &format!("{good}{good}")),
            (JSON, &"[".repeat(60_000)),
            (JSON, &good.replace("admin", "\\ud800")),
            (JSON, "{\"username\":1e999,\"password\":\"a\"}"),
        ],
    )
    .await;
    refused(
        &row("M5"),
        &[
            (XML, &xml.replace("<username>", "<username a=\"b\">")),
            (XML, &xml.replace("<password>", "<password>a</password><password>")),
            (XML, &xml.replace("admin", "<b>admin</b>")),
        ],
    )
    .await;
}

/// F10.
pub(super) async fn keeps_the_order_of_keys(row: impl Fn(&str) -> Row) {
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

/// F11.
pub(super) async fn sends_no_challenge(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    let wrong = create(&world, ADMIN, "admin", "wrong").send().await;
    let none = world.http().post(REVOKE).send().await;
    for (id, exchange) in [("M2", &wrong), ("M12", &none)] {
        row(id).holds(exchange);
        assert!(!exchange.headers.contains_key("www-authenticate"), "{exchange}");
    }
}

/// F12.
pub(super) async fn locks_a_name(row: impl Fn(&str) -> Row) {
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

/// F13.
pub(super) async fn tells_what_a_token_may_do(row: impl Fn(&str) -> Row) {
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

/// F14.
pub(super) async fn revokes_other_profiles_too(row: impl Fn(&str) -> Row) {
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

/// F15.
pub(super) async fn names_the_status(row: impl Fn(&str) -> Row) {
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

/// F16.
pub(super) async fn takes_the_impossible_for_wrong(row: impl Fn(&str) -> Row) {
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

/// F17.
pub(super) async fn forbids_to_store_tokens(row: impl Fn(&str) -> Row) {
    let world = World::start().await;
    for accept in ["application/json", "application/xml"] {
        for request in by_admin(&world) {
            let made = request.header("accept", accept).send().await;
            assert_eq!(made.status, row("M1").status);
            assert_eq!(made.headers["cache-control"], "no-store");
        }
    }
}
