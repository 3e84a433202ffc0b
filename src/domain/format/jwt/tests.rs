//! What a JWT must state, and what is refused.

use super::super::super::keys::{self, KeyRing, NewKey};
use super::super::super::profile::Algorithm;
use super::super::super::random::{MachineRandom, Random};
use super::super::super::seal::MasterKey;
use super::super::super::store::{KeyPurpose, Seq};
use super::*;

const CONTEXT: Context<'static> =
    Context { style: ClaimStyle::AccessToken, issuer: "tokend", audience: "services" };

fn ring(algorithm: Algorithm) -> KeyRing {
    let random = MachineRandom::default();
    let random: &dyn Random = &random;
    let master = MasterKey::parse(&MasterKey::generate(random).unwrap()).unwrap();
    let now = Timestamp::from_micros(1_700_000_000_000_000);
    let rows: Vec<_> = ["a", "b"]
        .map(|profile| NewKey::Sign { profile: profile.to_owned(), algorithm })
        .iter()
        .chain(&[NewKey::Code(KeyPurpose::Check)])
        .map(|new| keys::generate(new, &master, random, now).unwrap())
        .collect();
    KeyRing::open(&rows, &master, Seq(1)).unwrap()
}

fn claims() -> Claims {
    Claims {
        id: TokenId::parse("jti-1").unwrap(),
        kind: TokenKind::Operation,
        user: UserId(Uuid::from_u128(7)),
        grant: GrantId(Uuid::from_u128(8)),
        generation: Generation(3),
        roles: RoleChoice::only([RoleId(Uuid::from_u128(9))]),
        refresh: Some(TokenId::parse("refresh-1").unwrap()),
        issued_at: Timestamp::from_micros(1_700_000_000_000_000),
        expires_at: Some(Timestamp::from_micros(1_700_000_900_000_000)),
    }
}

fn part(text: &str, index: usize) -> String {
    let part = text.split('.').nth(index).unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn reads_what_it_wrote_in_every_algorithm_and_style() {
    for algorithm in
        [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256 { bits: 2048 }, Algorithm::Hs256]
    {
        let ring = ring(algorithm);
        let key = ring.signing("a").unwrap();
        for style in [ClaimStyle::AccessToken, ClaimStyle::Plain, ClaimStyle::Harperdb] {
            let context = Context { style, ..CONTEXT };
            let secret = write(key, &claims(), "Ann", context).unwrap();
            let unproven = read(secret.expose()).unwrap();
            assert_eq!(unproven.prove(key, context), Some(claims()), "{algorithm:?} {style:?}");
            assert_eq!(unproven.prove(ring.signing("b").unwrap(), context), None);
        }
    }
}

#[test]
fn writes_the_header_in_the_documented_order() {
    let ring = ring(Algorithm::Hs256);
    let key = ring.signing("a").unwrap();
    let context = Context { style: ClaimStyle::Plain, ..CONTEXT };
    let secret = write(key, &claims(), "Ann", context).unwrap();
    assert!(secret.expose().starts_with("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCI"));
    insta::assert_snapshot!(part(secret.expose(), 1), @r#"{"iss":"tokend","sub":"Ann","iat":1700000000,"exp":1700000900,"jti":"jti-1","knd":"operation","uid":"00000000-0000-0000-0000-000000000007","gid":"00000000-0000-0000-0000-000000000008","gen":3,"rol":["00000000-0000-0000-0000-000000000009"],"rid":"refresh-1"}"#);
}

/// A token with this header and payload, signed as it should be.
fn signed(key: &SigningKey, header: &str, payload: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = key.pair.sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn is_accepted(key: &SigningKey, text: &str) -> bool {
    read(text).is_some_and(|unproven| unproven.prove(key, CONTEXT).is_some())
}

#[test]
fn refuses_other_headers_and_claims_even_signed() {
    let ring = ring(Algorithm::EdDsa);
    let key = ring.signing("a").unwrap();
    let good = write(key, &claims(), "Ann", CONTEXT).unwrap();
    let (header, payload) = (part(good.expose(), 0), part(good.expose(), 1));
    assert!(is_accepted(key, &signed(key, &header, &payload)));
    for (from, to) in [
        ("EdDSA", "none"),
        ("EdDSA", "HS256"),
        ("at+jwt", "JWT"),
        ("{", r#"{"crit":["x"],"#),
        ("{", r#"{"jku":"http://x","#),
        ("{", r#"{"alg":"EdDSA","#),
    ] {
        let header = header.replacen(from, to, 1);
        assert!(!is_accepted(key, &signed(key, &header, &payload)), "{header}");
    }
    for (from, to) in [
        ("1700000900", r#""never""#),
        ("1700000900", "1e300"),
        ("1700000900", "-1"),
        ("1700000900", "[1]"),
        ("1700000900", "18446744073709551615"),
        (r#""aud":"services""#, r#""aud":"others""#),
        (r#""aud":"services","#, ""),
        (r#""iss":"tokend""#, r#""iss":"other""#),
        (r#""knd":"operation""#, r#""knd":"root""#),
        ("{", r#"{"nbf":9999999999,"#),
        ("{", r#"{"gen":4,"#),
    ] {
        let payload = payload.replacen(from, to, 1);
        assert!(!is_accepted(key, &signed(key, &header, &payload)), "{payload}");
    }
}

#[test]
fn answers_the_key_that_it_names_up_to_the_longest() {
    let name = |kid: &str| {
        let header = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#);
        let text = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header));
        read(&text).map(|unproven| unproven.key().to_owned())
    };
    for length in [0, 1, 32, 64] {
        let kid = "k".repeat(length);
        assert_eq!(name(&kid), Some(kid));
    }
    assert_eq!(name(&"k".repeat(65)), None);
}

#[test]
fn refuses_what_is_not_three_parts_of_ours() {
    let ring = ring(Algorithm::EdDsa);
    let key = ring.signing("a").unwrap();
    let good = write(key, &claims(), "Ann", CONTEXT).unwrap();
    let (message, signature) = good.expose().rsplit_once('.').unwrap();
    let (_, payload) = message.split_once('.').unwrap();
    let header = |kid: &str| format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#);
    let long = "a".repeat(1 << 20);
    for text in [
        String::new(),
        "...".to_owned(),
        "a.b".to_owned(),
        message.to_owned(),
        format!("{message}."),
        format!("{message}.{signature}."),
        format!("{message}.{signature}.a"),
        format!("{message}.{signature}="),
        format!("{}.a", [signature; 9].join(".")),
        format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header(&"k".repeat(64)))),
        format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header(&"k".repeat(65)))),
        format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header(""))),
        format!("{}.{payload}.{signature}", "e".repeat(512)),
        format!("{}.{payload}.{signature}", "e".repeat(513)),
        format!("{long}.{long}.{long}"),
    ] {
        assert!(!is_accepted(key, &text), "{}", text.len());
    }
}

/// The public key is public: whoever takes it for a shared secret forges nothing.
#[test]
fn refuses_a_token_signed_with_the_public_key_as_a_secret() {
    let ring = ring(Algorithm::Rs256 { bits: 2048 });
    let key = ring.signing("a").unwrap();
    let good = write(key, &claims(), "Ann", CONTEXT).unwrap();
    let header = part(good.expose(), 0).replace("RS256", "HS256");
    let payload = part(good.expose(), 1);
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let Some(super::super::super::calls::PublicMaterial::Rsa { n, .. }) =
        key.public_key().map(|public| public.material)
    else {
        panic!("an RSA key");
    };
    let secret = jsonwebtoken::EncodingKey::from_secret(&n);
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &secret, jsonwebtoken::Algorithm::HS256)
            .unwrap();
    assert!(!is_accepted(key, &format!("{message}.{signature}")));
}
