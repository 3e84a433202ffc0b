//! Writing tokens: the row, the secret, and what its owner sees.

use super::calls::{Issued, TokenView};
use super::clock::Timestamp;
use super::core::Core;
use super::error::Error;
use super::format::jwt::{self, Claims};
use super::format::opaque::{self, MAX_RANDOM};
use super::identity::{Generation, User};
use super::knowledge::View;
use super::profile::{Format, IdForm, OpaqueForm, Profile};
use super::store::KeyPurpose;
use super::token::{GrantId, KeyId, RoleChoice, Secret, Token, TokenId, TokenKind, TokenState};

/// The row of a token, and the secret that its holder gets.
pub(super) type Made = (Token, Secret);

/// A token that is about to be written.
pub(super) struct Draft<'a> {
    pub(super) user: &'a User,
    pub(super) profile: &'a Profile,
    pub(super) format: Format,
    pub(super) kind: TokenKind,
    pub(super) grant: GrantId,
    pub(super) generation: Generation,
    pub(super) roles: RoleChoice,
    pub(super) display_name: String,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) refresh: Option<TokenId>,
    pub(super) parent: Option<TokenId>,
    pub(super) now: Timestamp,
}

impl Core {
    /// Writes a token: its row, and its secret.
    pub(super) fn write_token(&self, draft: Draft<'_>) -> Result<Made, Error> {
        match draft.format {
            Format::Opaque(form) => self.write_opaque(draft, form),
            Format::Jwt { .. } => self.write_jwt(draft),
        }
    }

    fn write_opaque(&self, draft: Draft<'_>, form: OpaqueForm) -> Result<Made, Error> {
        let keys = self.knowledge.keys();
        let key = keys.code(KeyPurpose::Check)?;
        let random = self.random.bytes::<MAX_RANDOM>()?;
        let secret = opaque::write(form, draft.profile.name.as_str(), &key.hmac, &random);
        let id = self.new_token_id(draft.profile)?;
        let token = draft.token(id, key.id.clone());
        Ok((Token { digest: Some(secret.digest()), ..token }, secret))
    }

    fn write_jwt(&self, mut draft: Draft<'_>) -> Result<Made, Error> {
        let keys = self.knowledge.keys();
        let key = keys.signing(draft.profile.name.as_str())?;
        let context = self
            .jwt_context(draft.profile)
            .ok_or_else(|| Error::internal("an opaque profile signs nothing"))?;
        // A JWT tells time in whole seconds; the row says the same.
        draft.expires_at = draft.expires_at.map(Timestamp::whole_second);
        let id = self.new_token_id(draft.profile)?;
        let claims = Claims {
            id: id.clone(),
            kind: draft.kind,
            user: draft.user.id,
            grant: draft.grant,
            generation: draft.generation,
            roles: draft.roles.clone(),
            refresh: draft.refresh.clone(),
            issued_at: draft.now.whole_second(),
            expires_at: draft.expires_at,
        };
        let secret = jwt::write(key, &claims, &draft.user.username, context)?;
        Ok((draft.token(id, key.id.clone()), secret))
    }

    pub(super) fn new_token_id(&self, profile: &Profile) -> Result<TokenId, Error> {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
        let text = match profile.id_form {
            IdForm::Uuid => self.random.uuid(self.now())?.to_string(),
            IdForm::Api => {
                let random = self.random.bytes::<21>()?;
                let letters = random.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 64)));
                format!("api_{}", letters.map(|byte| char::from(*byte)).collect::<String>())
            }
        };
        TokenId::parse(&text).map_err(Error::internal)
    }

    /// A token and its secret, as they are answered once.
    pub(super) async fn issued(
        &self,
        view: &View,
        user: &User,
        (token, secret): Made,
    ) -> Result<Issued, Error> {
        let token = self.token_view(view, user, token, TokenState::Active).await?;
        Ok(Issued { token, secret })
    }

    /// A token as its owner may see it.
    pub(super) async fn token_view(
        &self,
        view: &View,
        user: &User,
        token: Token,
        state: TokenState,
    ) -> Result<TokenView, Error> {
        let roles = self.roles(view, token.roles.of(&user.roles)).await?;
        Ok(TokenView {
            id: token.id,
            user: token.user,
            grant: token.grant,
            display_name: token.display_name,
            profile: token.profile,
            kind: token.kind,
            roles: super::accepted::sorted_names(&roles),
            inherits_roles: token.roles == RoleChoice::Inherit,
            state,
            created_at: token.created_at,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
            last_used_at: token.last_used_at,
            parent: token.parent,
        })
    }
}

impl Draft<'_> {
    fn token(self, id: TokenId, key: KeyId) -> Token {
        Token {
            id,
            user: self.user.id,
            grant: self.grant,
            display_name: self.display_name,
            profile: self.profile.name.clone(),
            kind: self.kind,
            roles: self.roles,
            digest: None,
            key,
            created_at: self.now,
            expires_at: self.expires_at,
            revoked_at: None,
            last_used_at: None,
            parent: self.parent,
        }
    }
}
