//! JWTs (RFC 7519): our claims, signed and verified.
//!
//! The algorithm, the key and the profile come from the key record that `kid` names, never from the
//! header's `alg`; the kind comes from a signed claim. Time is not judged here.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::signature::{Signer as _, Verifier as _};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::clock::Timestamp;
use super::super::error::Error;
use super::super::identity::{Generation, RoleId, UserId};
use super::super::keys::SigningKey;
use super::super::profile::{Algorithm, ClaimStyle};
use super::super::token::{GrantId, RoleChoice, Secret, TokenId, TokenKind};

/// The longest JWT that is looked at, in bytes.
pub const MAX_LENGTH: usize = 8192;
/// The longest header that is looked at, in digits of base64 and in bytes.
const MAX_HEADER: usize = 512;
const MAX_HEADER_BYTES: usize = MAX_HEADER / 4 * 3;
/// Room for nearly every JWT of ours.
const USUAL_LENGTH: usize = 1024;

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
struct Header<'a> {
    alg: Alg,
    typ: Typ,
    kid: &'a str,
}

/// The algorithms, by RFC 7518 and RFC 8037.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
enum Alg {
    #[serde(rename = "EdDSA")]
    EdDsa,
    Es256,
    Rs256,
    Hs256,
}

impl From<Algorithm> for Alg {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::EdDsa => Self::EdDsa,
            Algorithm::Es256 => Self::Es256,
            Algorithm::Rs256 { bits: _ } => Self::Rs256,
            Algorithm::Hs256 => Self::Hs256,
        }
    }
}

/// What a JWT is, as its readers know it.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
enum Typ {
    #[serde(rename = "at+jwt")]
    AccessToken,
    #[serde(rename = "JWT")]
    Jwt,
}

impl From<ClaimStyle> for Typ {
    fn from(style: ClaimStyle) -> Self {
        match style {
            ClaimStyle::AccessToken => Self::AccessToken,
            ClaimStyle::Plain | ClaimStyle::Harperdb => Self::Jwt,
        }
    }
}

/// The claims as they are written: each style leaves some out.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sub: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aud: Option<Cow<'a, str>>,
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
    let alg = key.pair.algorithm().into();
    let header = Header { alg, typ: context.style.into(), kid: key.id.as_str() };
    let mut text = String::with_capacity(USUAL_LENGTH);
    let mut json = Vec::with_capacity(USUAL_LENGTH);
    serde_json::to_writer(&mut json, &header).map_err(Error::internal)?;
    URL_SAFE_NO_PAD.encode_string(&json, &mut text);
    text.push('.');
    json.clear();
    serde_json::to_writer(&mut json, &payload(claims, username, context))
        .map_err(Error::internal)?;
    URL_SAFE_NO_PAD.encode_string(&json, &mut text);
    let signature = key.pair.try_sign(text.as_bytes()).map_err(Error::internal)?;
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    Ok(Secret::new(text))
}

fn payload<'a>(claims: &Claims, username: &'a str, context: Context<'a>) -> Payload<'a> {
    let Claims { id, kind, user, grant, generation, roles, refresh, issued_at, expires_at } =
        claims;
    let knd = Kind::from(*kind);
    let (sub, name, aud, uid) = match context.style {
        ClaimStyle::AccessToken => {
            (user.to_string().into(), None, Some(context.audience.into()), None)
        }
        ClaimStyle::Plain => (username.into(), None, None, Some(user.0)),
        ClaimStyle::Harperdb => (knd.name().into(), Some(username.into()), None, Some(user.0)),
    };
    Payload {
        iss: context.issuer.into(),
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
    key: Kid,
    alg: Alg,
    typ: Typ,
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl fmt::Debug for Unproven<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unproven").field("key", &self.key()).finish_non_exhaustive()
    }
}

/// The name of a key, where nothing needs to be allocated for it.
struct Kid {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl Kid {
    const LONGEST: usize = 64;

    fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::LONGEST];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { bytes, length: text.len() })
    }

    fn as_str(&self) -> &str {
        let name = self.bytes.get(..self.length).unwrap_or_default();
        str::from_utf8(name).unwrap_or_default()
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
    let mut buffer = [0; MAX_HEADER_BYTES];
    let length = URL_SAFE_NO_PAD.decode_slice(header, &mut buffer).ok()?;
    let Header { alg, typ, kid } = serde_json::from_slice(buffer.get(..length)?).ok()?;
    Some(Unproven { key: Kid::new(kid)?, alg, typ, message, payload, signature })
}

impl Unproven<'_> {
    /// The key that it says it was signed by: a text that may name none.
    #[must_use]
    pub fn key(&self) -> &str {
        self.key.as_str()
    }

    /// Proves it by the key that it names, and reads what it states. `None` where anything is not
    /// as we write it.
    #[must_use]
    pub fn prove(&self, key: &SigningKey, context: Context<'_>) -> Option<Claims> {
        let is_of_key = self.key() == key.id.as_str() && self.alg == key.pair.algorithm().into();
        if !is_of_key || self.typ != context.style.into() {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(self.signature).ok()?;
        key.pair.verify(self.message.as_bytes(), &signature).ok()?;
        let payload = URL_SAFE_NO_PAD.decode(self.payload).ok()?;
        claims(serde_json::from_slice(&payload).ok()?, context)
    }
}

fn claims(payload: Payload<'_>, context: Context<'_>) -> Option<Claims> {
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
