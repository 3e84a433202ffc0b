//! HarperDB, row by row.

mod facts;
mod requests;

use std::time::Duration;

use serde_json::json;
use tokend::pb::UserState;

use super::table::{Row, rows};
use crate::support::http::Exchange;
use crate::support::{ADMIN_PASSWORD, Verdict, World};
use requests::{
    bearing, create, forged, operation, pair, pair_of, parts, post, refresh, sign_in, text,
    twin_profile, user_info,
};

const EXPIRED: Duration = Duration::from_hours(31 * 24);

/// Holds an answer to its row, headers and all.
fn hold(row: &Row, exchange: &Exchange) {
    row.holds(exchange);
    row.holds_headers("harperdb", exchange);
}

rows! { "harperdb";
    H1 |row| {
        let world = World::start().await;
        let made = sign_in(&world, "admin", ADMIN_PASSWORD).send().await;
        hold(&row("H1"), &made);
        let operation = text(&made, "operation_token");
        assert_eq!(world.check(&operation).profile("harperdb").await, Verdict::Allow);
    }
    H2 |row| {
        let world = World::with(|settings| settings.sign_in.lockout.failures = 2).await;
        let (ann, off) = (world.user("ann").await, world.user("off").await);
        world.admin().set_state(&off, UserState::Disabled).await;
        let long = "p".repeat(1025);
        let cases = [
            ("ann", "wrong"),
            ("nobody", "wrong"),
            ("off", &*off.password),
            ("ann", "wrong"),
            // Locked by now: the right password, too.
            ("ann", &*ann.password),
            ("admin", &*long),
            ("admin", "a\0b"),
            ("a:b", "p"),
            // What another dialect takes for the vendor's newline.
            ("admin", "the-first-users-password\n"),
        ];
        for (name, password) in cases {
            hold(&row("H2"), &sign_in(&world, name, password).send().await);
        }
        world.advance(Duration::from_hours(1));
        row("H1").holds(&sign_in(&world, "ann", &ann.password).send().await);
    }
    H3 |row| {
        let world = World::start().await;
        for fields in [json!({"password": "p"}), json!({"username": null, "password": "p"})] {
            let username = row("H3").with(r#""'username' is required""#);
            hold(&username, &create(&world, fields).send().await);
        }
        for fields in [json!({"username": "u"}), json!({"username": "u", "password": null})] {
            let password = row("H3").with(r#""'password' is required""#);
            password.holds(&create(&world, fields).send().await);
        }
        // With credentials in the header, too: they are not looked at.
        for fields in [json!({}), json!({"username": null, "expires_in": null})] {
            let both = row("H3").with("required. ");
            let request = create(&world, fields).basic("admin", ADMIN_PASSWORD);
            both.holds(&request.send().await);
        }
    }
    H4 |row| {
        let world = World::start().await;
        let fields = json!({"username": "admin", "password": ""});
        hold(&row("H4"), &create(&world, fields).send().await);
        let refused = create(&world, json!({"username": "", "password": 1})).send().await;
        let text = "'username' is not allowed to be empty. 'password' must be a string";
        assert_eq!((refused.status, refused.json()), (400, json!({"error": text})));
    }
    H5 |row| {
        let world = World::start().await;
        for wrong in [json!(1), json!(true), json!([]), json!({"$ne": ""}), json!(1.5)] {
            let fields = json!({"username": wrong, "password": wrong});
            hold(&row("H5"), &create(&world, fields).send().await);
        }
    }
    H6 |row| {
        let world = World::start().await;
        let (_, token) = pair(&world).await;
        let made = refresh(&world, json!({"refresh_token": token})).send().await;
        hold(&row("H6"), &made);
        let operation = text(&made, "operation_token");
        assert_eq!(world.check(&operation).profile("harperdb").await, Verdict::Allow);
        // It does not rotate.
        world.advance(Duration::from_hours(25));
        row("H6").holds(&refresh(&world, json!({"refresh_token": token})).send().await);
    }
    H7 |row| {
        let world = World::start().await;
        let (_, token) = pair(&world).await;
        hold(&row("H7"), &bearing(refresh(&world, json!({})), &token).send().await);
    }
    H8 |row| {
        let world = World::start().await;
        for fields in [json!({}), json!({"refresh_token": null}), json!({"refreshToken": "x"})] {
            hold(&row("H8"), &refresh(&world, fields).send().await);
        }
    }
    H9 |row| {
        let world = World::start().await;
        let empty = row("H9").with("not allowed to be empty");
        hold(&empty, &refresh(&world, json!({"refresh_token": ""})).send().await);
        for wrong in [json!(1), json!(false), json!(["a"]), json!({})] {
            let refused = refresh(&world, json!({"refresh_token": wrong})).send().await;
            row("H9").with("must be a string").holds(&refused);
        }
    }
    H10 |row| {
        let world = World::with(twin_profile).await;
        let (ann, off) = (world.user("ann").await, world.user("off").await);
        let (operation, good) = pair_of(&world, "ann", &ann.password).await;
        let (_, disabled) = pair_of(&world, "off", &off.password).await;
        world.admin().set_state(&off, UserState::Disabled).await;
        let revoked = ann.sign_in_to("harperdb").await;
        revoked.revoke().await.unwrap();
        let grant = tokend::pb::revoke_token_request::Target::GrantId(revoked.token.grant_id);
        let request = tokend::pb::RevokeTokenRequest { target: Some(grant), ..Default::default() };
        ann.api().revoke_token(request).await.unwrap();
        let other = ann.sign_in().await;
        let twin = ann.sign_in_to("twin").await;
        let [header, _] = parts(&good);
        let signature = good.rsplit('.').next().unwrap();
        let stranger = json!({"alg": "RS256", "typ": "JWT", "kid": "of-somebody-else"});
        let none = json!({"alg": "none", "typ": "JWT", "kid": header["kid"]});
        let symmetric = json!({"alg": "HS256", "typ": "JWT", "kid": header["kid"]});
        let cases = [
            "garbage".to_owned(),
            "a.b.c".to_owned(),
            "..".to_owned(),
            "\0".to_owned(),
            "x".repeat(60_000),
            operation.clone(),
            other.refresh.clone(),
            twin.refresh.clone(),
            ann.sign_in_to("personal").await.operation,
            forged(&good, &stranger, signature),
            forged(&good, &none, ""),
            forged(&good, &none, signature),
            forged(&good, &symmetric, signature),
            forged(&good, &header, operation.rsplit('.').next().unwrap()),
            revoked.refresh.clone(),
            disabled,
        ];
        for token in cases {
            hold(&row("H10"), &refresh(&world, json!({"refresh_token": token})).send().await);
            // What a header can hold.
            if token.len() < 8192 && !token.contains('\0') {
                row("H10").holds(&bearing(refresh(&world, json!({})), &token).send().await);
            }
        }
        // The good one is good, and those of the other profiles were not touched.
        row("H6").holds(&refresh(&world, json!({"refresh_token": good})).send().await);
        assert!(other.refresh().await.is_ok() && twin.refresh().await.is_ok());
    }
    H11 |row| {
        let world = World::start().await;
        let (_, token) = pair(&world).await;
        world.advance(EXPIRED);
        hold(&row("H11"), &refresh(&world, json!({"refresh_token": token})).send().await);
        row("H11").holds(&bearing(refresh(&world, json!({})), &token).send().await);
    }
    H12 |row| {
        let world = World::start().await;
        hold(&row("H12"), &operation(&world, "frobnicate", json!({})).send().await);
        for name in ["User_Info", "user_info ", "create", "sql"] {
            let refused = operation(&world, name, json!({})).send().await;
            assert_eq!(refused.json(), json!({"error": format!("Operation '{name}' not found")}));
            assert_eq!(refused.status, row("H12").status);
        }
        let long = operation(&world, &format!("\u{1b}[31m{}", "x".repeat(100)), json!({}));
        let shown = format!("Operation '[31m{}' not found", "x".repeat(60));
        assert_eq!(long.send().await.json(), json!({"error": shown}));
    }
    H13 |row| {
        let world = World::start().await;
        for body in [
            "{}",
            r#"{"operation":null}"#,
            r#"{"operation":""}"#,
            r#"{"operation":1}"#,
            r#"{"operation":["user_info"]}"#,
            r#"{"Operation":"user_info"}"#,
        ] {
            hold(&row("H13"), &post(&world, body).send().await);
        }
    }
    H14 |row| {
        let world = World::start().await;
        let deep = "[".repeat(60_000);
        let objects = r#"{"a":"#.repeat(10_000);
        let keys: Vec<_> = (0..6000).map(|number| format!("\"{number}\":0")).collect();
        let keys = format!("{{{},\"0\":1}}", keys.join(","));
        let bodies: [&[u8]; 13] = [
            b"{",
            b" \r\n",
            b"{'operation':'user_info'}",
            b"{\"operation\":\"user_info\"} x",
            b"{\"operation\":\"user_info\",\"operation\":\"user_info\"}",
            b"{\"operation\":\"user_info\",\"a\":{\"b\":1,\"b\":2}}",
            b"{\"operation\":\"\\ud800\"}",
            b"{\"operation\":\"\xff\"}",
            b"{\"operation\":\"user_info\",\"a\":1e999}",
            b"\xef\xbb\xbf{}",
            deep.as_bytes(),
            objects.as_bytes(),
            keys.as_bytes(),
        ];
        for body in bodies {
            row("H14").holds(&post(&world, body).send().await);
        }
        hold(&row("H14"), &post(&world, "nonsense").send().await);
        // The last one does not win: not even when the first is good.
        let (name, password) = ("\"username\":\"admin\"", "\"password\":\"wrong\"");
        let body = format!(
            "{{\"operation\":\"create_authentication_tokens\",{name},{password},\
             \"password\":\"{ADMIN_PASSWORD}\"}}"
        );
        row("H14").holds(&post(&world, body).send().await);
    }
    H15 |row| {
        let world = World::start().await;
        hold(&row("H15"), &post(&world, "").send().await);
    }
    H16 |row| {
        let world = World::start().await;
        let with = |content_type: &str| {
            world.http().post("/").header("content-type", content_type).body("<a/>")
        };
        hold(&row("H16"), &with("application/xml").send().await);
        for other in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/vnd.api+json",
            "application/jsonp",
            "json",
            "text/plain;charset=UTF-8",
            "application/json, text/plain",
        ] {
            let refused = with(other).send().await;
            let text = format!("Unsupported Media Type: {other}");
            assert_eq!((refused.status, refused.json()), (415, json!({"error": text})));
        }
        let twice = post(&world, "{}").header("content-type", "application/json").send().await;
        assert_eq!(twice.status, 415, "{twice}");
    }
    H17 |row| {
        let world = World::start().await;
        world.admin().put_role("super_user", ["*"]).await;
        world.admin().put_role("writer", ["orders:*"]).await;
        let admin = world.user("HDB_ADMIN").roles(["writer", "super_user"]).await;
        let (operation, _) = pair_of(&world, "HDB_ADMIN", &admin.password).await;
        hold(&row("H17"), &bearing(user_info(&world), &operation).send().await);
        let basic = user_info(&world).basic("HDB_ADMIN", &admin.password);
        row("H17").holds(&basic.send().await);
        let writer = world.user("ann").roles(["writer"]).await;
        let basic = user_info(&world).basic("ann", &writer.password).send().await;
        let role = json!({"role": "writer", "id": "writer", "permission": {"super_user": false}});
        assert_eq!(basic.json()["role"], role);
    }
    H18 |row| {
        let world = World::start().await;
        let (operation, _) = pair(&world).await;
        hold(&row("H18"), &user_info(&world).send().await);
        for other in ["Digest abc", "Token", "", "Negotiate"] {
            let request = user_info(&world).header("authorization", other);
            row("H18").holds(&request.send().await);
        }
        let token = user_info(&world).header("authorization", &format!("Token {operation}"));
        row("H18").holds(&token.send().await);
    }
    H19 |row| {
        let world = World::start().await;
        let (operation, refresh) = pair(&world).await;
        for garbage in ["garbage", "a.b.c", &refresh, "", "a b"] {
            let refused = bearing(user_info(&world), garbage).send().await;
            row("H19").with("invalid token").holds(&refused);
        }
        let login = || row("H19").with("Login failed");
        for (name, password) in [("admin", "wrong"), ("nobody", "p"), ("", ""), ("admin", "")] {
            login().holds(&user_info(&world).basic(name, password).send().await);
        }
        for basic in ["Basic", "Basic !!!", "Basic YQ==", "basic YTpi YTpi"] {
            let request = user_info(&world).header("authorization", basic);
            login().holds(&request.send().await);
        }
        world.advance(Duration::from_hours(24));
        let expired = bearing(user_info(&world), &operation).send().await;
        hold(&row("H19").with("token expired"), &expired);
    }
    H20 |row| {
        let world = World::start().await;
        let nothing = world.http().get("/nothing").send().await;
        let body = json!({"operation": "user_info"}).to_string();
        for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            let request = world.http().request(method, "/");
            let request = request.header("content-type", "application/json").body(&*body);
            let refused = request.send().await;
            hold(&row("H20"), &refused);
            assert_eq!(refused.headers(), nothing.headers());
        }
        for path in ["/operations", "//", "/create_authentication_tokens"] {
            let request = world.http().post(path).header("content-type", "application/json");
            row("H20").holds(&request.body(&*body).send().await);
        }
        row("H20").holds(&nothing);
    }
    H21 |row| {
        let world = World::with(|settings| {
            settings.sign_in.burst = 1;
            settings.sign_in.rate_per_minute = 1;
        })
        .await;
        row("H1").holds(&sign_in(&world, "admin", ADMIN_PASSWORD).send().await);
        for request in [
            sign_in(&world, "admin", ADMIN_PASSWORD),
            user_info(&world).basic("admin", ADMIN_PASSWORD),
        ] {
            let throttled = request.send().await;
            row("H21").holds(&throttled);
            let seconds = throttled.headers["retry-after"].to_str().unwrap();
            assert!(throttled.body.contains(&format!(" in {seconds} second")), "{throttled}");
        }
    }
    H22 |row| {
        let world = World::start().await;
        for body in ["", r#"{"operation":"user_info"}"#] {
            hold(&row("H22"), &world.http().post("/").body(body).send().await);
        }
        row("H22").holds(&world.http().post("/").header("content-type", "").send().await);
    }
    H23 |row| {
        let world = World::start().await;
        for body in ["[]", r#"["user_info"]"#, r#""user_info""#, "null", "1", "true"] {
            hold(&row("H23"), &post(&world, body).send().await);
        }
    }
    H24 |row| {
        let world = World::start().await;
        let nobody = world.user("nobody").await;
        let basic = user_info(&world).basic("nobody", &nobody.password);
        hold(&row("H24"), &basic.send().await);
    }
    H25 |row| {
        let world = World::start().await;
        let wrong = json!([
            "2d", "24.1h", 86_401, u64::MAX, 1e300, 0, 0.5, "500ms", "0s", -1, "-1d", "60", "",
            "soon", true, [], {},
        ]);
        for wrong in wrong.as_array().unwrap() {
            let fields =
                json!({"username": "admin", "password": ADMIN_PASSWORD, "expires_in": wrong});
            row("H25").holds(&create(&world, fields).send().await);
            // Before the credentials are judged.
            let fields = json!({"username": "nobody", "password": "p", "expires_in": wrong});
            row("H25").holds(&create(&world, fields).send().await);
        }
        let fields = json!({"username": "admin", "password": "p", "expires_in": true});
        hold(&row("H25"), &create(&world, fields).send().await);
        let refused = create(&world, json!({"username": 1, "expires_in": true})).send().await;
        let text = "'username' must be a string. 'password' is required. 'expires_in' must be \
                    a number of seconds or a time span such as \"1d\"";
        assert_eq!((refused.status, refused.json()), (400, json!({"error": text})));
    }

    F1 |row| { facts::one_path_and_one_media_type(row).await; }
    F2 |row| { facts::the_header_as_documented(row).await; }
    F3 |row| { facts::the_documented_claims_and_no_more(row).await; }
    F4 |row| { facts::the_kind_on_every_path(row).await; }
    F5 |row| { facts::no_challenge(row).await; }
    F6 |row| { facts::the_header_over_the_body(row).await; }
    F7 |row| { facts::no_header_on_create(row).await; }
    F8 |row| { facts::sign_ins_side_by_side(row).await; }
    F9 |row| { facts::schemes(row).await; }
    F10 |row| { facts::roles_of_now(row).await; }
    F11 |row| { facts::the_order_of_checks(row).await; }
    F12 |row| { facts::expires_in(row).await; }
    F13 |row| { facts::unknown_fields(row).await; }
    F14 |row| { facts::ambiguous_headers(row).await; }
    F15 |row| { facts::plain_names(row).await; }
}
