//! Apinizer, row by row.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokend::pb::{DenyReason, UserState};

use super::table::{Row, rows};
use crate::support::apart::Shim;
use crate::support::http::{Exchange, Http, HttpRequest};
use crate::support::{ADMIN_PASSWORD, Verdict, World};

const PATH: &str = "/apiops/auth/token";
const FORM: &str = "application/x-www-form-urlencoded";
const CREDENTIALS: &str = "client_id=admin&client_secret=the-first-users-password";

/// Holds an answer to its row, headers and all.
fn hold(row: &Row, exchange: &Exchange) {
    row.holds(exchange);
    row.holds_headers("apinizer", exchange);
}

/// A form as it stands.
fn form(http: &Http, body: impl Into<Vec<u8>>) -> HttpRequest {
    http.post(PATH).header("content-type", FORM).body(body)
}

/// The documented request.
fn sign_in(world: &World, name: &str, password: &str) -> HttpRequest {
    let fields = format!("client_id={name}&client_secret={password}").replace(' ', "+");
    form(&world.http(), format!("grant_type=client_credentials&{fields}"))
}

async fn token(world: &World, name: &str, password: &str) -> String {
    let made = sign_in(world, name, password).send().await;
    made.json()["access_token"].as_str().expect("a token").to_owned()
}

/// The header and the claims of a JWT.
fn parts(token: &str) -> [Value; 2] {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url"));
    let mut part = || serde_json::from_slice(&parts.next().expect("a part")).expect("JSON");
    [part(), part()]
}

rows! { "apinizer";
    P1 |row| {
        let world = World::start().await;
        let made = sign_in(&world, "admin", ADMIN_PASSWORD).send().await;
        hold(&row("P1"), &made);
        let secret = made.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(world.check(&secret).profile("apinizer").await, Verdict::Allow);
        assert_eq!(made.headers["cache-control"], "no-store");
        assert_eq!(made.headers["pragma"], "no-cache");
    }
    P2 |row| {
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
            ("", "p"),
            ("admin", ""),
            ("admin", &*long),
            ("admin", "a%00b"),
            // What another dialect takes for the vendor's newline.
            ("admin", "the-first-users-password%0A"),
        ];
        for (name, password) in cases {
            hold(&row("P2"), &sign_in(&world, name, password).send().await);
        }
        for fields in ["", "&client_id=admin", "&client_secret=p", "&client_id&client_secret"] {
            let body = format!("grant_type=client_credentials{fields}");
            row("P2").holds(&form(&world.http(), body).send().await);
        }
        world.advance(Duration::from_hours(1));
        row("P1").holds(&sign_in(&world, "ann", &ann.password).send().await);
    }
    P3 |row| {
        let world = World::start().await;
        for grant in [
            "",
            "&grant_type",
            "&grant_type=",
            "&grant_type=password",
            "&grant_type=Client_Credentials",
            "&grant_type=client_credentials+",
            "&Grant_Type=client_credentials",
        ] {
            // Judged before the credentials, good or bad.
            for fields in [CREDENTIALS, "client_id=admin&client_secret=wrong", ""] {
                let body = format!("{fields}{grant}");
                hold(&row("P3"), &form(&world.http(), body).send().await);
            }
        }
    }
    P4 |row| {
        let world = World::start().await;
        // As the vendor's page shows it.
        let json = "{\n  \"grant_type\": \"client_credentials\",\n  \
                    \"client_id\": \"your_username\",\n  \
                    \"client_secret\": \"your_password\"\n}\n";
        let good = format!("grant_type=client_credentials&{CREDENTIALS}");
        for (content_type, body) in [
            (Some("application/json"), json),
            (Some("multipart/form-data; boundary=x"), "--x--"),
            (Some("text/plain"), &*good),
            (Some("application/x-www-form-urlencoded2"), &*good),
            (Some("nonsense"), &*good),
            (None, &*good),
            (None, ""),
        ] {
            let request = world.http().post(PATH).body(body);
            let request = match content_type {
                Some(content_type) => request.header("content-type", content_type),
                None => request,
            };
            hold(&row("P4"), &request.send().await);
        }
        let twice = form(&world.http(), good).header("content-type", FORM);
        row("P4").holds(&twice.send().await);
    }
    P5 |row| {
        let world = World::start().await;
        for (again, name) in [
            ("grant_type=client_credentials", "grant_type"),
            ("client_id=admin", "client_id"),
            ("client_secret=other", "client_secret"),
            ("%63lient_secret=other", "client_secret"),
            ("scope=a&scope=b", "scope"),
        ] {
            let body = format!("grant_type=client_credentials&{CREDENTIALS}&{again}");
            let refused = form(&world.http(), body).send().await;
            row("P5").holds(&refused);
            assert!(refused.body.contains(&format!("\"{name} must be sent once\"")), "{refused}");
        }
        hold(&row("P5"), &form(&world.http(), "a&a").send().await);
    }
    P6 |row| {
        let world = World::with(|settings| {
            settings.sign_in.burst = 1;
            settings.sign_in.rate_per_minute = 1;
        })
        .await;
        row("P1").holds(&sign_in(&world, "admin", ADMIN_PASSWORD).send().await);
        let throttled = sign_in(&world, "admin", ADMIN_PASSWORD).send().await;
        row("P6").holds(&throttled);
        let seconds = throttled.headers["retry-after"].to_str().unwrap();
        assert_eq!(throttled.json()["retry_after"].to_string(), seconds);
    }
    P7 |row| {
        let world = World::start().await;
        // A shim whose upstream is no server of ours, but another shim.
        let lost = Shim::start(world.settings(), world.http().address());
        let body = format!("grant_type=client_credentials&{CREDENTIALS}");
        hold(&row("P7"), &form(&Http::new(lost.address), body).send().await);
    }
    P8 |row| {
        let world = World::start().await;
        let many: Vec<_> = (0..63).map(|number| format!("k{number}=v")).collect();
        let many = many.join("&").into_bytes();
        let malformed: [&[u8]; 6] = [
            b"client_secret=%",
            b"client_secret=%4",
            b"client_secret=%zz",
            b"client_secret=%ff",
            b"client_secret=\xff",
            &many,
        ];
        for body in malformed {
            let whole = [b"grant_type=client_credentials&client_id=admin&".as_slice(), body].concat();
            row("P8").holds(&form(&world.http(), whole).send().await);
        }
        hold(&row("P8"), &form(&world.http(), "%").send().await);
    }
    P9 |row| {
        let world = World::start().await;
        hold(&row("P9"), &world.http().get(PATH).send().await);
        for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            let refused = world.http().request(method, PATH).send().await;
            row("P9").holds(&refused);
            assert_eq!(refused.headers["allow"], "POST");
        }
    }

    F1 |row| {
        let world = World::start().await;
        let (http, body) = (world.http(), format!("grant_type=client_credentials&{CREDENTIALS}"));
        for content_type in [
            "application/x-www-form-urlencoded; charset=UTF-8",
            "application/x-www-form-urlencoded;charset=utf-8",
            "Application/X-WWW-Form-Urlencoded",
        ] {
            let request = http.post(PATH).header("content-type", content_type);
            row("P1").holds(&request.body(&*body).send().await);
        }
        let ignored = [
            ("accept", "application/json"),
            ("accept", "text/html"),
            ("authorization", "Basic YWRtaW46d3Jvbmc="),
            ("authorization", "Bearer nonsense"),
        ];
        for (name, value) in ignored {
            row("P1").holds(&form(&http, &*body).header(name, value).send().await);
        }
        row("P1").holds(&form(&http, format!("{body}&scope=&x=y")).send().await);
        let path = format!("{PATH}?grant_type=password&client_id=nobody");
        let request = http.post(&path).header("content-type", FORM);
        row("P1").holds(&request.body(&*body).send().await);
        // Nothing is taken from there, either.
        let path = format!("{PATH}?{body}");
        row("P3").holds(&http.post(&path).header("content-type", FORM).send().await);
    }
    F2 |row| {
        let world = World::start().await;
        let large = form(&world.http(), vec![b'a'; 65537]);
        for request in [
            sign_in(&world, "admin", ADMIN_PASSWORD),
            sign_in(&world, "admin", "wrong"),
            form(&world.http(), ""),
            world.http().post(PATH),
            world.http().get(PATH),
            large,
        ] {
            let answer = request.header("accept", "text/html").send().await;
            assert_eq!(answer.headers["content-type"], "application/json;charset=UTF-8");
        }
        assert_eq!(row("P1").status, 200);
    }
    F3 |row| {
        let mut world = World::start().await;
        let made = sign_in(&world, "admin", ADMIN_PASSWORD).send().await;
        assert!(made.body.starts_with(r#"{"access_token":"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCI"#));
        let secret = made.json()["access_token"].as_str().unwrap().to_owned();
        let [header, claims] = parts(&secret);
        assert_eq!(header.as_object().unwrap().keys().collect::<Vec<_>>(), ["alg", "typ", "kid"]);
        let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
        assert_eq!(Some(lifetime), made.json()["expires_in"].as_u64());
        world.advance(Duration::from_secs(3599));
        assert_eq!(world.check(&secret).await, Verdict::Allow);
        world.advance(Duration::from_secs(1));
        assert_eq!(world.check(&secret).await, Verdict::Deny(DenyReason::ExpiredToken));

        world.restart_with(|settings| {
            "apinizer-personal".clone_into(&mut settings.rest.apinizer.profile);
        })
        .await;
        let made = sign_in(&world, "admin", ADMIN_PASSWORD).send().await;
        assert_eq!(made.status, row("P1").status);
        let json = made.json();
        let keys: Vec<_> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["access_token", "token_type"]);
    }
    F4 |row| {
        let world = World::start().await;
        for (role, permission) in [
            ("ROLE_MANAGE_PROXIES", "proxies:manage"),
            ("ROLE_DEPLOY_UNDEPLOY_PROXIES", "proxies:deploy"),
            ("ROLE_API_SECURITY", "security:manage"),
            ("ROLE_ADMIN", "*"),
        ] {
            world.admin().put_role(role, [permission]).await;
        }
        let ann = world.user("ann").roles(["ROLE_MANAGE_PROXIES"]).await;
        let made = sign_in(&world, "ann", &ann.password).send().await;
        row("P1").holds(&made);
        let secret = made.json()["access_token"].as_str().unwrap().to_owned();
        let missing = Verdict::Deny(DenyReason::MissingPermission);
        let ask = |permission| world.check(&secret).permission(permission);
        assert_eq!(ask("proxies:manage").await, Verdict::Allow);
        assert_eq!(ask("proxies:deploy").await, missing);
        world.admin().set_roles(&ann, ["ROLE_ADMIN"]).await;
        assert_eq!(ask("proxies:deploy").await, Verdict::Allow);
        world.admin().set_roles(&ann, []).await;
        assert_eq!(ask("proxies:manage").await, missing);
    }
    F5 |row| {
        let world = World::start().await;
        let ann = world.user("ann").await;
        assert_eq!(row("P2").status, 401);
        let short = token(&world, "ann", &ann.password).await;
        let long = ann.sign_in_to("apinizer-personal").await;
        assert!(long.operation.starts_with("apnz_") && long.operation.len() == 40);
        for secret in [&short, &long.operation] {
            let caller = world.nobody().bearing(secret).get_caller(Default::default()).await;
            assert_eq!(caller.unwrap().user.unwrap().username, "ann");
        }
        world.advance(Duration::from_hours(1));
        let expired = Verdict::Deny(DenyReason::ExpiredToken);
        assert_eq!(world.check(&short).await, expired);
        assert_eq!(world.check(&long.operation).await, Verdict::Allow);
        long.revoke().await.unwrap();
        let revoked = Verdict::Deny(DenyReason::RevokedToken);
        assert_eq!(world.check(&long.operation).await, revoked);
    }
    F6 |row| {
        let world = World::start().await;
        row("P9").holds(&world.http().get(PATH).header("content-type", "text/plain").send().await);
        let wrong = world.http().post(PATH).header("content-type", "text/plain");
        row("P4").holds(&wrong.body("grant_type=a&grant_type=b").send().await);
        let wrong = "grant_type=a&grant_type=b";
        row("P5").holds(&form(&world.http(), wrong).send().await);
        row("P3").holds(&form(&world.http(), "grant_type=a&client_id=nobody").send().await);
    }
    F7 |row| {
        let world = World::start().await;
        let refused = form(&world.http(), vec![b'a'; 65537]).send().await;
        let body = r#"{"error":"payload_too_large","error_description":"Payload Too Large"}"#;
        assert_eq!((refused.status, &*refused.body), (413, body));
        assert_eq!(row("P9").status, 405);
    }
}
