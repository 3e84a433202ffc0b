//! JWTs that nobody signed, or that are signed and say what we never say: one answer for all, from
//! memory alone.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use tokend::pb::revoke_token_request::Target;
use tokend::pb::{self, JsonWebKey};

use super::own_keys::own_keys;
use crate::reads::quiet;
use crate::support::alone::alone;
use crate::support::{Refusal, Verdict, World};

/// What each call says of a secret that it is shown.
#[derive(Debug, PartialEq)]
struct Answers {
    check: pb::AuthorizeResponse,
    caller: Refusal,
    create: Refusal,
    refresh: Refusal,
    revoke: Refusal,
}

impl Answers {
    async fn to(world: &World, secret: &str) -> Self {
        let nobody = world.nobody();
        let bearer = Some(pb::create_token_request::Credential::BearerToken(secret.to_owned()));
        let create = pb::CreateTokenRequest { credential: bearer, ..Default::default() };
        let refresh_token = secret.to_owned();
        let refresh = pb::RefreshOperationTokenRequest { refresh_token, ..Default::default() };
        let target = Some(Target::Secret(secret.to_owned()));
        let revoke = pb::RevokeTokenRequest { target, ..Default::default() };
        let bearing = nobody.clone().bearing(secret);
        Self {
            check: world.check(secret).permission("orders:read").answer().await.unwrap(),
            caller: bearing.get_caller(pb::GetCallerRequest {}).await.unwrap_err(),
            create: nobody.create_token(create).await.unwrap_err(),
            refresh: nobody.refresh_operation_token(refresh).await.unwrap_err(),
            revoke: nobody.revoke_token(revoke).await.unwrap_err(),
        }
    }
}

/// A JWT, taken apart.
struct Parts {
    header: String,
    payload: String,
    signature: String,
}

impl Parts {
    fn of(jwt: &str) -> Self {
        let mut parts = jwt.split('.');
        let mut part = || parts.next().unwrap().to_owned();
        let (header, payload, signature) = (part(), part(), part());
        Self { header: text(&header), payload: text(&payload), signature }
    }

    /// The header with this in it instead of that.
    fn header_with(&self, from: &str, to: &str) -> String {
        replaced(&self.header, from, to)
    }

    /// The JWT with another header, and the signature that it had.
    fn under(&self, header: &str) -> String {
        format!("{}.{}.{}", encoded(header), encoded(&self.payload), self.signature)
    }

    /// The JWT with more in its header.
    fn under_more(&self, more: &str) -> String {
        self.under(&self.header_with("{", &format!("{{{more},")))
    }

    fn kid(&self) -> String {
        let header: serde_json::Value = serde_json::from_str(&self.header).unwrap();
        header["kid"].as_str().unwrap().to_owned()
    }
}

fn text(part: &str) -> String {
    String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    let changed = text.replacen(from, to, 1);
    assert_ne!(changed, text, "{from}");
    changed
}

/// What nobody signed, by its kind.
fn unsigned(parts: &Parts, others: &[String]) -> Vec<(String, String)> {
    let whole = parts.under(&parts.header);
    let (message, _) = whole.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let signature = &parts.signature;
    let mut forged = vec![
        ("no signature".to_owned(), format!("{message}.")),
        ("two parts".to_owned(), message.to_owned()),
        ("two parts and the signature".to_owned(), format!("{payload}.{signature}")),
        ("one part".to_owned(), header.to_owned()),
        ("four parts".to_owned(), format!("{whole}.{signature}")),
        ("ten parts".to_owned(), [&*whole; 4].join(".").replacen('.', "", 2)),
        ("no payload".to_owned(), format!("{header}..{signature}")),
        ("no header".to_owned(), format!(".{payload}.{signature}")),
        ("dots".to_owned(), "..".to_owned()),
        ("a byte more".to_owned(), format!("{whole}A")),
        ("padded".to_owned(), format!("{whole}==")),
        ("a part of 8 KiB".to_owned(), format!("{header}.{}.{signature}", "A".repeat(8192))),
        ("8 KiB of dots".to_owned(), ".".repeat(8192)),
    ];
    for alg in ["none", "None", "nOnE", "NONE", "", "HS256", "RS256", "ES256", "eddsa", "EdDSA "] {
        let header = parts.header_with(r#""EdDSA""#, &format!(r#""{alg}""#));
        forged.push((format!("alg {alg:?}"), parts.under(&header)));
        let unsigned = format!("{}.{}.", encoded(&header), encoded(&parts.payload));
        forged.push((format!("alg {alg:?}, no signature"), unsigned));
    }
    forged.extend(other_keys(parts, others));
    for more in [
        r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        r#""x5c":["AAAA"]"#,
        r#""crit":["exp"]"#,
        r#""b64":false"#,
        r#""zip":"DEF""#,
        r#""cty":"JWT""#,
        r#""alg":"none""#,
    ] {
        forged.push((more.to_owned(), parts.under_more(more)));
    }
    forged
}

/// The same token under names of keys that did not sign it.
fn other_keys(parts: &Parts, others: &[String]) -> Vec<(String, String)> {
    let mut forged = Vec::new();
    let kid = parts.kid();
    let mut kids: Vec<String> = [
        "../../key",
        "/etc/passwd",
        "file:///dev/zero",
        "http://169.254.169.254/",
        "' OR 1=1 --",
        "x'; DROP TABLE keys; --",
        "%00",
        "\\u0000",
        "key\\n",
        "",
        "0",
    ]
    .map(str::to_owned)
    .to_vec();
    kids.extend([64, 65, 400, 6000].map(|length| "k".repeat(length)));
    // A key that there is, of another profile.
    kids.extend(others.iter().cloned());
    for other in kids {
        forged.push((format!("kid {other:.40}"), parts.under(&parts.header_with(&kid, &other))));
    }
    for value in ["null", "1", "[]", "{}", "true"] {
        let header = parts.header_with(&format!("\"{kid}\""), value);
        forged.push((format!("kid {value}"), parts.under(&header)));
    }
    forged
}

#[tokio::test]
async fn refuses_whatever_nobody_signed_alike_and_reads_nothing_for_it() {
    let test = "abuse::forged::refuses_whatever_nobody_signed_alike_and_reads_nothing_for_it";
    let Some(log) = alone(test) else { return };
    let world = quiet(&log).await;
    let alice = world.user("alice").await;
    let good = alice.sign_in().await.operation;
    let mut others = Vec::new();
    for profile in ["harperdb", "apinizer"] {
        others.push(Parts::of(&alice.sign_in_to(profile).await.operation).kid());
    }
    let parts = Parts::of(&good);
    assert_eq!(parts.under(&parts.header), good);
    // Whoever follows where a header points comes here.
    let lure = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    lure.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys", lure.local_addr().unwrap());
    let mut cases = unsigned(&parts, &others);
    for name in ["jku", "x5u", "kid", "iss"] {
        let more = format!(r#""{name}":"{url}""#);
        cases.push((more.clone(), parts.under_more(&more)));
        let instead = parts.header_with(&parts.kid(), &url);
        cases.push((
            format!("{more} twice"),
            parts.under(&replaced(&instead, "{", &format!("{{{more},"))),
        ));
    }
    let unknown = Answers::to(&world, "no-token-of-ours").await;
    let from = log.count();
    for (case, forged) in cases {
        assert_eq!(Answers::to(&world, &forged).await, unknown, "{case}");
    }
    assert_eq!(log.statements_since(from), [""; 0]);
    let visit = lure.accept().map(drop).map_err(|none| none.kind());
    assert_eq!(visit, Err(std::io::ErrorKind::WouldBlock), "it asked for a key");
    assert_eq!(world.check(&good).await, Verdict::Allow, "it was neither consumed nor revoked");
}

#[tokio::test]
async fn refuses_a_secret_of_a_megabyte_wherever_it_is_shown() {
    let world = World::start().await;
    let good = world.user("alice").await.sign_in().await.operation;
    let parts = Parts::of(&good);
    let url = world.grpc_url().parse().unwrap();
    let upstream = tokend::client::Upstream::remote(tokend::server::remote(&url).unwrap());
    let long = "k".repeat(1 << 20);
    for token in [long.clone(), parts.under(&parts.header_with(&parts.kid(), &long))] {
        // Refused as too long or as unknown: never with a decision to allow it.
        let check = pb::AuthorizeRequest { token: token.clone(), ..Default::default() };
        if let Ok(answer) = upstream.tokens.clone().authorize(check).await {
            assert_eq!(answer.into_inner().deny_reason(), pb::DenyReason::UnknownToken);
        }
        let refresh_token = token.clone();
        let refresh = pb::RefreshOperationTokenRequest { refresh_token, ..Default::default() };
        upstream.tokens.clone().refresh_operation_token(refresh).await.unwrap_err();
        let target = Some(Target::Secret(token));
        let revoke = pb::RevokeTokenRequest { target, ..Default::default() };
        upstream.tokens.clone().revoke_token(revoke).await.unwrap_err();
    }
    assert_eq!(world.check(&good).await, Verdict::Allow);
}

/// DER: a tag, a length, and what it holds.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match u8::try_from(length) {
        Ok(short) if short < 128 => vec![tag, short],
        _ => [&[tag, 0x82][..], &u16::try_from(length).unwrap().to_be_bytes()].concat(),
    };
    [head, content.to_vec()].concat()
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    der(2, &[&[0][..], bytes].concat())
}

/// The `SubjectPublicKeyInfo` of a published key.
fn public_info(key: &JsonWebKey) -> Vec<u8> {
    let number = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let (algorithm, bits): (&[u8], _) = match &*key.kty {
        "RSA" => (
            &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0],
            der(0x30, &[integer(&number(&key.n)), integer(&number(&key.e))].concat()),
        ),
        "OKP" => (&[6, 3, 0x2b, 0x65, 0x70], number(&key.x)),
        other => panic!("{other}"),
    };
    let bits = der(3, &[&[0][..], &bits].concat());
    der(0x30, &[der(0x30, algorithm), bits].concat())
}

/// All that somebody could take for a shared secret who has the published key.
fn published_forms(key: &JsonWebKey) -> Vec<Vec<u8>> {
    let info = public_info(key);
    let base64 = STANDARD.encode(&info);
    let lines: Vec<_> =
        base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let jwk = match &*key.kty {
        "RSA" => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, key.e, key.n),
        _ => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, key.x),
    };
    let material = if key.n.is_empty() { &key.x } else { &key.n };
    vec![
        pem.clone().into_bytes(),
        pem.trim_end().as_bytes().to_vec(),
        info,
        base64.into_bytes(),
        jwk.into_bytes(),
        material.clone().into_bytes(),
        URL_SAFE_NO_PAD.decode(material).unwrap(),
        Vec::new(),
    ]
}

#[tokio::test]
async fn takes_no_public_key_for_a_shared_secret() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let keys = world.nobody().get_public_keys(pb::GetPublicKeysRequest {}).await.unwrap().keys;
    let unknown = Answers::to(&world, "no-token-of-ours").await;
    for (profile, algorithm) in [("operation", "EdDSA"), ("harperdb", "RS256")] {
        let good = alice.sign_in_to(profile).await.operation;
        let parts = Parts::of(&good);
        let key = keys.iter().find(|key| key.kid == parts.kid()).unwrap();
        for secret in published_forms(key) {
            for header in [parts.header_with(algorithm, "HS256"), parts.header.clone()] {
                let message = format!("{}.{}", encoded(header), encoded(&parts.payload));
                let code =
                    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
                let forged = format!("{message}.{}", encoded(code));
                assert_eq!(Answers::to(&world, &forged).await, unknown, "{profile}");
            }
        }
        assert_eq!(world.check(&good).await, Verdict::Allow);
    }
}

/// The payload without a claim.
fn without(payload: &str, claim: &str) -> String {
    replaced(payload, claim, "").replace(",,", ",").replace("{,", "{").replace(",}", "}")
}

/// Claims that no token of the profile has, and what stands there instead.
fn other_claims(payload: &str) -> Vec<String> {
    let claims: serde_json::Value = serde_json::from_str(payload).unwrap();
    let exp = format!(r#""exp":{}"#, claims["exp"]);
    let mut others = Vec::new();
    for end in [
        r#""never""#,
        "1e300",
        "-1",
        "-1e300",
        "null",
        "[1]",
        "{}",
        "true",
        r#""9999999999""#,
        "9999999999.5",
        "18446744073709551615",
        "18446744073709551616",
    ] {
        others.push(replaced(payload, &exp, &format!(r#""exp":{end}"#)));
    }
    others.push(without(payload, &exp));
    others.push(replaced(payload, &exp, &format!(r#"{exp},"exp":9999999999"#)));
    for claim in ["iss", "aud", "sub", "jti", "knd", "gid", "gen", "iat"] {
        let value = format!(r#""{claim}":{}"#, claims[claim]);
        others.push(without(payload, &value));
        for other in ["null", "[]", "{}", r#""""#, r#""not the one""#, "-1.5"] {
            others.push(replaced(payload, &value, &format!(r#""{claim}":{other}"#)));
        }
    }
    for more in [r#""nbf":9999999999"#, r#""nbf":1"#, r#""admin":true"#, r#""rol":"*""#] {
        others.push(replaced(payload, "{", &format!("{{{more},")));
    }
    others.extend(["", "null", "[]", "{}"].map(str::to_owned));
    others
}

#[tokio::test]
async fn refuses_what_is_signed_and_says_what_no_token_says() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let keys = own_keys(&world).await;
    let good = alice.sign_in().await.operation;
    let parts = Parts::of(&good);
    let sign = |profile: &str, header: &str, payload: &str| {
        let message = format!("{}.{}", encoded(header), encoded(payload));
        let signature = keys.sign(profile, message.as_bytes());
        format!("{message}.{}", encoded(signature))
    };
    assert_eq!(sign("operation", &parts.header, &parts.payload), good, "the key is the one");
    let unknown = Answers::to(&world, "no-token-of-ours").await;
    for payload in other_claims(&parts.payload) {
        let signed = sign("operation", &parts.header, &payload);
        assert_eq!(Answers::to(&world, &signed).await, unknown, "{payload}");
    }
    for (from, to) in [
        ("at+jwt", "JWT"),
        ("at+jwt", "application/at+jwt"),
        ("at+jwt", "AT+JWT"),
        ("\"at+jwt\"", "null"),
        ("EdDSA", "HS256"),
        ("{", r#"{"crit":["exp"],"#),
        ("{", r#"{"crit":[],"#),
        ("{", r#"{"crit":["x"],"x":1,"#),
        ("{", r#"{"b64":false,"#),
        ("{", r#"{"jku":"http://127.0.0.1:1/","#),
    ] {
        let signed = sign("operation", &parts.header_with(from, to), &parts.payload);
        assert_eq!(Answers::to(&world, &signed).await, unknown, "{from} {to}");
    }
    // By the key of another profile, whichever of them it names.
    for profile in ["harperdb", "apinizer"] {
        let theirs = Parts::of(&alice.sign_in_to(profile).await.operation);
        for header in [&parts.header, &theirs.header] {
            let signed = sign(profile, header, &parts.payload);
            assert_eq!(Answers::to(&world, &signed).await, unknown, "{profile}");
        }
        let signed = sign("operation", &theirs.header, &theirs.payload);
        assert_eq!(Answers::to(&world, &signed).await, unknown, "{profile}");
        let check = world.check(&good).profile(profile).await;
        assert_eq!(check, Verdict::Deny(pb::DenyReason::WrongProfile), "{profile}");
    }
    assert_eq!(world.check(&good).await, Verdict::Allow, "it was neither consumed nor revoked");
}
