//! JWTs that were proven: what they state and by which key, never a verdict.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::clock::Timestamp;
use super::facts::{Held, Noted, Shelf, Weigh, slot};
use super::format::jwt::Claims;
use super::token::{KeyId, TokenDigest, TokenId};

/// What an entry takes that states what our profiles write.
const USUAL: usize = slot::<TokenDigest, Arc<ProvenJwt>>() + 192;

/// A JWT that was proven.
#[derive(Debug)]
pub(super) struct ProvenJwt {
    /// The key that it was proven by.
    pub(super) key: KeyId,
    /// What it states.
    pub(super) claims: Claims,
    noted: AtomicU32,
}

impl ProvenJwt {
    pub(super) fn new(key: KeyId, claims: Claims) -> Self {
        Self { key, claims, noted: AtomicU32::new(Noted::NEVER.number()) }
    }

    /// When its use was last noted.
    pub(super) fn noted(&self) -> Noted {
        Noted::from_number(self.noted.load(Ordering::Relaxed))
    }

    /// Remembers that its use was noted.
    pub(super) fn note(&self, now: Timestamp) {
        self.noted.store(Noted::at(now).number(), Ordering::Relaxed);
    }
}

impl Weigh for ProvenJwt {
    fn heap(&self) -> usize {
        let Claims {
            id,
            kind: _,
            user: _,
            grant: _,
            generation: _,
            roles,
            refresh,
            issued_at: _,
            expires_at: _,
        } = &self.claims;
        // The key's name belongs to the key.
        id.heap() + roles.heap() + refresh.as_ref().map_or(0, TokenId::heap)
    }
}

/// The JWTs that were proven lately, by the digest of the whole text, signature included.
#[derive(Debug)]
pub(super) struct Proven(Shelf<TokenDigest, Arc<ProvenJwt>>);

impl Proven {
    /// Makes one of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Shelf::new(bytes, USUAL))
    }

    pub(super) fn get(&self, whole: &TokenDigest) -> Option<Arc<ProvenJwt>> {
        self.0.get(whole)
    }

    pub(super) fn keep(&self, whole: TokenDigest, jwt: Arc<ProvenJwt>) {
        self.0.insert(whole, jwt);
    }

    /// How many there are, and the bytes that they take.
    pub(super) fn held(&self) -> Held {
        Held::on("jwt", &self.0)
    }
}
