//! The pieces of a call, each alone.

use std::sync::OnceLock;

use aws_lc_rs::hmac;
use divan::{Bencher, black_box};
use secrecy::SecretString;
use tokend::domain::clock::Timestamp;
use tokend::domain::facts::{Capacity, Facts, Kept, TokenFact};
use tokend::domain::format::{jwt, opaque};
use tokend::domain::identity::{Generation, UserId};
use tokend::domain::keys::{self, KeyRing, NewKey, SigningKey};
use tokend::domain::password::{self, HashCost, Password};
use tokend::domain::permission::{Asked, Permission, PermissionSet, Reach};
use tokend::domain::profile::{Algorithm, ClaimStyle, OpaqueForm, ProfileName, Profiles};
use tokend::domain::random::MachineRandom;
use tokend::domain::seal::MasterKey;
use tokend::domain::store::{Mark, Seq};
use tokend::domain::token::{
    Grant, GrantId, KeyId, RoleChoice, Secret, Token, TokenDigest, TokenId, TokenKind,
};
use uuid::Uuid;

/// Why the pieces can't be set up: a sentence for whoever started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

const PROFILE: &str = "personal";
/// How many tokens a fact is looked for among.
const TOKENS: usize = 100_000;
/// How many permissions a role has.
const PERMISSIONS: usize = 20;
/// A profile for each algorithm, of the same name.
const ALGORITHMS: [(&str, Algorithm); 3] = [
    ("EdDSA", Algorithm::EdDsa),
    ("ES256", Algorithm::Es256),
    ("RS256-2048", Algorithm::Rs256 { bits: 2048 }),
];
const CONTEXT: jwt::Context<'_> =
    jwt::Context { style: ClaimStyle::AccessToken, issuer: "tokend", audience: "tokend" };

static PIECES: OnceLock<Pieces> = OnceLock::new();

/// What the pieces work on.
struct Pieces {
    check: hmac::Key,
    opaque: Secret,
    facts: Facts,
    digests: Vec<TokenDigest>,
    held: PermissionSet,
    asked: Asked,
    keys: KeyRing,
    claims: jwt::Claims,
    password: Password,
}

fn main() -> Result<(), Failure> {
    // Nobody has set it before.
    drop(PIECES.set(Pieces::make()?));
    divan::main();
    Ok(())
}

/// The digest by which an opaque secret is looked up.
#[divan::bench]
fn digest_of_a_secret(bencher: Bencher<'_, '_>) {
    let Some(pieces) = PIECES.get() else { return };
    bencher.bench_local(|| TokenDigest::of(black_box(pieces.opaque.expose())));
}

/// Telling a token that we made from one that we did not, which is as costly.
#[divan::bench]
fn check_of_an_opaque_token(bencher: Bencher<'_, '_>) {
    let Some(pieces) = PIECES.get() else { return };
    bencher.bench_local(|| {
        opaque::read(black_box(pieces.opaque.expose()))
            .is_some_and(|read| read.is_genuine(PROFILE, &pieces.check))
    });
}

/// A token among others, each as far from the one before as chance would have it.
#[divan::bench]
fn fact_found(bencher: Bencher<'_, '_>) {
    let Some(pieces) = PIECES.get() else { return };
    let mut number = 0;
    bencher.bench_local(|| {
        number = (number + 7919) % TOKENS;
        pieces.digests.get(number).map(|digest| pieces.facts.kept_token(digest))
    });
}

/// Whether the permissions of a role meet what is asked, by the last of them.
#[divan::bench]
fn permission_of_a_role(bencher: Bencher<'_, '_>) {
    let Some(pieces) = PIECES.get() else { return };
    let asked = black_box(&pieces.asked);
    bencher.bench_local(|| pieces.held.meets(asked, Reach::OthersResource));
}

/// A JWT taken apart, proven and read.
#[divan::bench(args = ALGORITHMS.map(|(name, _)| name))]
fn jwt_proven(bencher: Bencher<'_, '_>, profile: &str) {
    let Some((key, claims)) = PIECES.get().and_then(|pieces| pieces.signing(profile)) else {
        return;
    };
    let Ok(secret) = jwt::write(key, claims, "user-1", CONTEXT) else { return };
    bencher.bench_local(|| {
        jwt::read(black_box(secret.expose())).and_then(|read| read.prove(key, CONTEXT))
    });
}

/// A JWT written and signed.
#[divan::bench(args = ALGORITHMS.map(|(name, _)| name))]
fn jwt_signed(bencher: Bencher<'_, '_>, profile: &str) {
    let Some((key, claims)) = PIECES.get().and_then(|pieces| pieces.signing(profile)) else {
        return;
    };
    bencher.bench_local(|| jwt::write(key, black_box(claims), "user-1", CONTEXT).is_ok());
}

/// A password hashed, at a small cost and at the default one, in KiB.
#[divan::bench(args = [1024, 19456], sample_count = 20)]
fn password_hashed(bencher: Bencher<'_, '_>, memory_kib: u32) {
    let Some(pieces) = PIECES.get() else { return };
    let cost = HashCost { memory_kib, iterations: 2, parallelism: 1 };
    bencher.bench_local(|| password::hash(black_box(&pieces.password), &[7; 16], cost).is_ok());
}

impl Pieces {
    fn make() -> Result<Self, Failure> {
        let check = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        let permissions = (0..PERMISSIONS).map(|number| format!("service-1:action-{number}"));
        let held = permissions.map(|text| Ok(Permission::parse(&text)?));
        let mark = Mark { seq: Seq(1), nonce: 1 };
        let capacity = Capacity { tokens: 256 << 20, jwts: 64 << 20, users: 64 << 20 };
        let mut pieces = Self {
            opaque: opaque::write(OpaqueForm::Tkd, PROFILE, &check, &[9; opaque::MAX_RANDOM]),
            check,
            facts: Facts::new(capacity, mark, Vec::new()),
            digests: Vec::with_capacity(TOKENS),
            held: held.collect::<Result<_, Failure>>()?,
            asked: Asked::parse(format!("service-1:action-{}", PERMISSIONS - 1))?,
            keys: keys()?,
            claims: claims()?,
            password: Password::parse(&SecretString::from("correct horse battery staple"))?,
        };
        pieces.keep_tokens(mark.seq)?;
        Ok(pieces)
    }

    fn keep_tokens(&mut self, as_of: Seq) -> Result<(), Failure> {
        let profiles = Profiles::new(Vec::new(), Vec::new());
        for number in 0..TOKENS {
            let digest = TokenDigest::of(&number.to_string());
            let fact = TokenFact::of(token(number, digest)?, &grant(number)?, &profiles);
            if !matches!(self.facts.keep_token(digest, Some(fact), as_of), Kept::Yes) {
                return Err("a fact was not kept".into());
            }
            self.digests.push(digest);
        }
        Ok(())
    }

    fn signing(&self, profile: &str) -> Option<(&SigningKey, &jwt::Claims)> {
        Some((self.keys.signing(profile).ok()?, &self.claims))
    }
}

/// A key for each algorithm.
fn keys() -> Result<KeyRing, Failure> {
    let random = MachineRandom::default();
    let master = MasterKey::parse(&MasterKey::generate(&random)?)?;
    let mut rows = Vec::new();
    for (profile, algorithm) in ALGORITHMS {
        let new = NewKey::Sign { profile: profile.to_owned(), algorithm };
        rows.push(keys::generate(&new, &master, &random, NOW)?);
    }
    Ok(KeyRing::open(&rows, &master, Seq(1))?)
}

fn claims() -> Result<jwt::Claims, Failure> {
    Ok(jwt::Claims {
        id: TokenId::parse(&uuid(1).to_string())?,
        kind: TokenKind::Operation,
        user: UserId(uuid(2)),
        grant: GrantId(uuid(3)),
        generation: Generation(1),
        roles: RoleChoice::Inherit,
        refresh: None,
        issued_at: NOW,
        expires_at: Some(NOW),
    })
}

fn grant(number: usize) -> Result<Grant, Failure> {
    let id = uuid(u128::try_from(number)?);
    Ok(Grant {
        id: GrantId(id),
        user: UserId(id),
        generation: Generation(1),
        created_at: NOW,
        expires_at: None,
        revoked_at: None,
    })
}

fn token(number: usize, digest: TokenDigest) -> Result<Token, Failure> {
    let id = uuid(u128::try_from(number)?);
    Ok(Token {
        id: TokenId::parse(&id.to_string())?,
        user: UserId(id),
        grant: GrantId(id),
        display_name: String::new(),
        profile: ProfileName::parse(PROFILE)?,
        kind: TokenKind::Personal,
        roles: RoleChoice::Inherit,
        digest: Some(digest),
        key: KeyId::parse("key")?,
        created_at: NOW,
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
        parent: None,
    })
}

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// A version 4 UUID of this number.
const fn uuid(number: u128) -> Uuid {
    uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid()
}
