//! Between the domain's words and what single columns hold, and from driver errors to ours.

use sea_orm::{DbErr, RuntimeErr, SqlErr};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::error::ErrorKind;
use uuid::Uuid;

use crate::domain::clock::Timestamp;
use crate::domain::identity::{RoleId, UserState};
use crate::domain::store::{Answer, KeyPurpose, KeyState, PasswordHash, StoreError};
use crate::domain::token::TokenKind;

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if is_broken(&error) {
            Self::Broken(Box::new(error))
        } else {
            Self::Unavailable(Box::new(error))
        }
    }
}

/// Whether asking again can't help.
fn is_broken(error: &DbErr) -> bool {
    if let DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))
    | DbErr::Conn(RuntimeErr::SqlxError(error)) = error
    {
        return is_broken_below(error);
    }
    !matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_))
}

fn is_broken_below(error: &sqlx::Error) -> bool {
    use sqlx::Error as Sqlx;
    if let Sqlx::Database(error) = error {
        // A constraint; the rest is about the file, the disk, or who else is at it.
        return !matches!(error.kind(), ErrorKind::Other);
    }
    matches!(
        error,
        Sqlx::ColumnDecode { .. }
            | Sqlx::ColumnIndexOutOfBounds { .. }
            | Sqlx::ColumnNotFound(_)
            | Sqlx::Decode(_)
            | Sqlx::Encode(_)
            | Sqlx::TypeNotFound { .. }
    )
}

/// Whether a value that must be unique was there already.
pub(super) fn is_taken(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// Names a column that holds what this version cannot read. Never holds the value.
pub(super) fn broken(column: &'static str) -> StoreError {
    StoreError::Broken(format!("{column} holds what this version cannot read").into())
}

/// Takes what was read, or names the column that is at fault.
pub(super) fn read<T, E>(column: &'static str, parsed: Result<T, E>) -> Answer<T> {
    parsed.map_err(|_| broken(column))
}

/// A time that may be absent, as it comes out of the database.
pub(super) fn time(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(Timestamp::from_micros)
}

/// A time that may be absent, as it goes into the database.
pub(super) fn micros(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::micros)
}

/// Reads the id of a role.
pub(super) fn role_id(text: &str) -> Answer<RoleId> {
    read("a role's id", Uuid::try_parse(text)).map(RoleId)
}

/// The hash of a password, as it comes out of the database.
pub(super) fn password_hash(text: Option<String>) -> Option<PasswordHash> {
    text.map(|text| PasswordHash(SecretString::from(text)))
}

/// The hash of a password, as it goes into the database.
pub(super) fn password_text(hash: Option<&PasswordHash>) -> Option<String> {
    hash.map(|PasswordHash(text)| text.expose_secret().to_owned())
}

/// The word for a user or a key that is active.
pub(super) const ACTIVE: &str = "active";

/// The word for a user's state.
pub(super) const fn user_state_word(state: UserState) -> &'static str {
    match state {
        UserState::Active => ACTIVE,
        UserState::Disabled => "disabled",
    }
}

/// Reads the word back.
pub(super) fn read_user_state(word: &str) -> Answer<UserState> {
    match word {
        ACTIVE => Ok(UserState::Active),
        "disabled" => Ok(UserState::Disabled),
        _ => Err(broken("users.state")),
    }
}

/// The word for a token's kind.
pub(super) const fn token_kind_word(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Operation => "operation",
        TokenKind::Refresh => "refresh",
        TokenKind::Personal => "personal",
    }
}

/// Reads the word back.
pub(super) fn read_token_kind(word: &str) -> Answer<TokenKind> {
    match word {
        "operation" => Ok(TokenKind::Operation),
        "refresh" => Ok(TokenKind::Refresh),
        "personal" => Ok(TokenKind::Personal),
        _ => Err(broken("tokens.kind")),
    }
}

/// The word for what a key is for.
pub(super) const fn key_purpose_word(purpose: KeyPurpose) -> &'static str {
    match purpose {
        KeyPurpose::Sign => "sign",
        KeyPurpose::Check => "check",
        KeyPurpose::Derive => "derive",
        KeyPurpose::Page => "page",
    }
}

/// Reads the word back.
pub(super) fn read_key_purpose(word: &str) -> Answer<KeyPurpose> {
    match word {
        "sign" => Ok(KeyPurpose::Sign),
        "check" => Ok(KeyPurpose::Check),
        "derive" => Ok(KeyPurpose::Derive),
        "page" => Ok(KeyPurpose::Page),
        _ => Err(broken("keys.purpose")),
    }
}

/// The word for a key's state.
pub(super) const fn key_state_word(state: KeyState) -> &'static str {
    match state {
        KeyState::Next => "next",
        KeyState::Active => ACTIVE,
        KeyState::Verifying => "verifying",
        KeyState::Retired => "retired",
    }
}

/// Reads the word back.
pub(super) fn read_key_state(word: &str) -> Answer<KeyState> {
    match word {
        "next" => Ok(KeyState::Next),
        ACTIVE => Ok(KeyState::Active),
        "verifying" => Ok(KeyState::Verifying),
        "retired" => Ok(KeyState::Retired),
        _ => Err(broken("keys.state")),
    }
}
