//! JWTs (RFC 7519): our claims, signed and verified.
//!
//! The algorithm, the key and the profile come from the key record that `kid` names, never from the
//! header's `alg`; the kind comes from a signed claim. Time is not judged here.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::clock::Timestamp;
use super::super::error::Error;
use super::super::identity::{Generation, RoleId, UserId};
use super::super::keys::SigningKey;
use super::super::profile::ClaimStyle;
use super::super::token::{GrantId, KeyId, RoleChoice, Secret, TokenId, TokenKind};

/// The longest JWT that is looked at, in bytes.
pub const MAX_LENGTH: usize = 8192;
const MAX_HEADER: usize = 512;

/// What a JWT of ours states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Its id: the `jti`.
    pub id: TokenId,
    /// What it is for.
    pub kind: TokenKind,
    /// Whose it is.
    pub user: UserId,
    /// The grant it was made from.
    pub grant: GrantId,
    /// The generation of that grant.
    pub generation: Generation,
    /// The roles chosen for it.
    pub roles: RoleChoice,
    /// The refresh token that it was made with, where that rotates.
    pub refresh: Option<TokenId>,
    /// When it was made, to the second.
    pub issued_at: Timestamp,
    /// When it ends, to the second.
    pub expires_at: Option<Timestamp>,
}

/// What a JWT says beside its claims, by its profile and the settings.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Which claims its readers want.
    pub style: ClaimStyle,
    /// Who we are.
    pub issuer: &'a str,
    /// Who it is for.
    pub audience: &'a str,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// The claims as they are written: each style leaves some out.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    iss: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aud: Option<String>,
    iat: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    jti: String,
    /// The kind.
    knd: Kind,
    /// The user's id, where `sub` is not that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<Uuid>,
    /// The grant's id.
    gid: Uuid,
    /// The generation.
    #[serde(rename = "gen")]
    generation: i64,
    /// The roles chosen; absent: it follows its user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rol: Option<BTreeSet<Uuid>>,
    /// The refresh token that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rid: Option<String>,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Operation,
    Refresh,
    Personal,
}

impl From<TokenKind> for Kind {
    fn from(kind: TokenKind) -> Self {
        match kind {
            TokenKind::Operation => Self::Operation,
            TokenKind::Refresh => Self::Refresh,
            TokenKind::Personal => Self::Personal,
        }
    }
}

impl Kind {
    const fn domain(self) -> TokenKind {
        match self {
            Self::Operation => TokenKind::Operation,
            Self::Refresh => TokenKind::Refresh,
            Self::Personal => TokenKind::Personal,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Refresh => "refresh",
            Self::Personal => "personal",
        }
    }
}

const fn typ(style: ClaimStyle) -> &'static str {
    match style {
        ClaimStyle::AccessToken => "at+jwt",
        ClaimStyle::Plain | ClaimStyle::Harperdb => "JWT",
    }
}

/// Signs the claims, for a user of this name.
///
/// # Errors
/// [`Error::Internal`] where the key does not sign.
pub fn write(
    key: &SigningKey,
    claims: &Claims,
    username: &str,
    context: Context<'_>,
) -> Result<Secret, Error> {
    let header = Header {
        alg: key.algorithm.name().to_owned(),
        typ: typ(context.style).to_owned(),
        kid: key.id.as_str().to_owned(),
    };
    let payload = payload(claims, username, context);
    let header = serde_json::to_vec(&header).map_err(Error::internal)?;
    let payload = serde_json::to_vec(&payload).map_err(Error::internal)?;
    let mut text = URL_SAFE_NO_PAD.encode(header);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut text);
    let signature = crypto::sign(text.as_bytes(), &key.private, key.jwa())
        .map_err(|error| Error::internal(error.to_string()))?;
    text.push('.');
    text.push_str(&signature);
    Ok(Secret::new(text))
}

fn payload(claims: &Claims, username: &str, context: Context<'_>) -> Payload {
    let Claims { id, kind, user, grant, generation, roles, refresh, issued_at, expires_at } =
        claims;
    let knd = Kind::from(*kind);
    let (sub, name, aud, uid) = match context.style {
        ClaimStyle::AccessToken => {
            (user.to_string(), None, Some(context.audience.to_owned()), None)
        }
        ClaimStyle::Plain => (username.to_owned(), None, None, Some(user.0)),
        ClaimStyle::Harperdb => {
            (knd.name().to_owned(), Some(username.to_owned()), None, Some(user.0))
        }
    };
    Payload {
        iss: context.issuer.to_owned(),
        username: name,
        sub,
        aud,
        iat: u64::try_from(issued_at.seconds()).unwrap_or(0),
        exp: expires_at.map(|end| u64::try_from(end.seconds()).unwrap_or(0)),
        jti: id.to_string(),
        knd,
        uid,
        gid: grant.0,
        generation: generation.0,
        rol: match roles {
            RoleChoice::Inherit => None,
            RoleChoice::Only(chosen) => Some(chosen.iter().map(|role| role.0).collect()),
        },
        rid: refresh.as_ref().map(ToString::to_string),
    }
}

/// A JWT that was taken apart, and nothing more: nothing in it is proven.
pub struct Unproven<'a> {
    /// The key that it says it was signed by.
    pub key: KeyId,
    alg: String,
    typ: String,
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl fmt::Debug for Unproven<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unproven").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Takes a JWT apart; `None` where it is none that we could have made. Reads nothing but the text.
#[must_use]
pub fn read(text: &str) -> Option<Unproven<'_>> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let (message, signature) = text.rsplit_once('.')?;
    let (header, payload) = message.split_once('.')?;
    if header.len() > MAX_HEADER || payload.contains('.') || signature.is_empty() {
        return None;
    }
    let header = URL_SAFE_NO_PAD.decode(header).ok()?;
    let Header { alg, typ, kid } = serde_json::from_slice(&header).ok()?;
    Some(Unproven { key: KeyId::parse(&kid).ok()?, alg, typ, message, payload, signature })
}

impl Unproven<'_> {
    /// Proves it by the key that it names, and reads what it states. `None` where anything is not
    /// as we write it.
    #[must_use]
    pub fn prove(&self, key: &SigningKey, context: Context<'_>) -> Option<Claims> {
        if self.key != key.id || self.alg != key.algorithm.name() || self.typ != typ(context.style)
        {
            return None;
        }
        let message = self.message.as_bytes();
        if !crypto::verify(self.signature, message, &key.public, key.jwa()).unwrap_or(false) {
            return None;
        }
        let payload = URL_SAFE_NO_PAD.decode(self.payload).ok()?;
        claims(serde_json::from_slice(&payload).ok()?, context)
    }
}

fn claims(payload: Payload, context: Context<'_>) -> Option<Claims> {
    let Payload { iss, username: _, sub, aud, iat, exp, jti, knd, uid, gid, generation, rol, rid } =
        payload;
    let time = |seconds: u64| i64::try_from(seconds).ok().and_then(Timestamp::from_seconds);
    let user = match context.style {
        ClaimStyle::AccessToken => {
            (aud? == context.audience).then(|| Uuid::try_parse(&sub).ok()).flatten()?
        }
        ClaimStyle::Plain => uid?,
        ClaimStyle::Harperdb => (sub == knd.name()).then_some(uid).flatten()?,
    };
    if iss != context.issuer {
        return None;
    }
    Some(Claims {
        id: TokenId::parse(&jti).ok()?,
        kind: knd.domain(),
        user: UserId(user),
        grant: GrantId(gid),
        generation: Generation(generation),
        roles: rol
            .map_or(RoleChoice::Inherit, |chosen| RoleChoice::only(chosen.into_iter().map(RoleId))),
        refresh: rid.map(|id| TokenId::parse(&id)).transpose().ok()?,
        issued_at: time(iat)?,
        expires_at: exp.map(|end| time(end).ok_or(())).transpose().ok()?,
    })
}

#[cfg(test)]
mod tests;
