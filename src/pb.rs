//! The contract as Rust: generated from `proto/`, with a `Debug` that shows no secret.

use std::fmt;

mod generated {
    #![expect(
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    tonic::include_proto!("tokend.v1");
}

pub use generated::*;

/// The compiled `proto/`, as reflection serves it.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tokend_descriptor.bin"));

/// The `domain` of every `google.rpc.ErrorInfo` that we send.
pub const ERROR_DOMAIN: &str = "tokend.v1";

const HIDDEN: &str = "[hidden]";

/// Writes a `Debug` that names every field, so that a new one does not compile until somebody has
/// said whether it is a secret.
macro_rules! debug_hiding {
    ($type:ident { $($shown:ident),* ; $($hidden:ident),* }) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Self { $($shown,)* $($hidden: _,)* } = self;
                f.debug_struct(stringify!($type))
                    $(.field(stringify!($shown), $shown))*
                    $(.field(stringify!($hidden), &HIDDEN))*
                    .finish()
            }
        }
    };
}

debug_hiding!(AuthorizeRequest {
    permissions, resource, realm, profiles, on_refused_token; token
});
debug_hiding!(CreateTokenRequest { credential, profile, display_name, lifetime, roles; });
debug_hiding!(CreateUserRequest { realm, username, display_name, role_ids; credential });
debug_hiding!(IssuedToken { token; secret });
debug_hiding!(PasswordCredential { realm, username, accept_final_newline; password });
debug_hiding!(RefreshOperationTokenRequest { profile, realm; refresh_token });
debug_hiding!(RevokeTokenRequest { target, profile, skip_wait; });
debug_hiding!(SetPasswordRequest {
    user_id, keep_personal_tokens, skip_wait; credential, old_password
});

impl fmt::Debug for create_token_request::Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password(password) => f.debug_tuple("Password").field(password).finish(),
            Self::BearerToken(_) => f.debug_tuple("BearerToken").field(&HIDDEN).finish(),
            Self::UserId(id) => f.debug_tuple("UserId").field(id).finish(),
        }
    }
}

impl fmt::Debug for create_token_request::Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ttl(ttl) => f.debug_tuple("Ttl").field(ttl).finish(),
            Self::ExpireTime(time) => f.debug_tuple("ExpireTime").field(time).finish(),
            Self::NeverExpires(never) => f.debug_tuple("NeverExpires").field(never).finish(),
        }
    }
}

impl fmt::Debug for create_user_request::Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password(_) => f.write_str("Password"),
            Self::PasswordHash(_) => f.write_str("PasswordHash"),
        }
    }
}

impl fmt::Debug for set_password_request::Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password(_) => f.write_str("Password"),
            Self::PasswordHash(_) => f.write_str("PasswordHash"),
        }
    }
}

impl fmt::Debug for revoke_token_request::Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TokenId(id) => f.debug_tuple("TokenId").field(id).finish(),
            Self::Secret(_) => f.debug_tuple("Secret").field(&HIDDEN).finish(),
            Self::GrantId(id) => f.debug_tuple("GrantId").field(id).finish(),
            Self::UserId(id) => f.debug_tuple("UserId").field(id).finish(),
        }
    }
}
