//! The contract as one caller has it: each RPC over a real channel, its failure read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokend::client::{REALM, REQUEST_ID};
use tokend::pb;
use tonic::{Request, Response, Status};

use super::{Line, Refusal};

/// A caller: nobody, or who their metadata says.
#[derive(Clone)]
pub(crate) struct Api {
    line: Line,
    metadata: Vec<(&'static str, String)>,
}

impl Api {
    pub(crate) fn of_nobody(line: Line) -> Self {
        Self { line, metadata: Vec::new() }
    }

    /// The same channel, with this metadata beside what is there.
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }

    /// By a token.
    pub(crate) fn bearing(self, secret: &str) -> Self {
        self.with("authorization", format!("Bearer {secret}"))
    }

    /// By name and password.
    pub(crate) fn signed(self, (realm, username, password): (&str, &str, &str)) -> Self {
        let pair = STANDARD.encode(format!("{username}:{password}"));
        self.with("authorization", format!("Basic {pair}")).with(REALM, realm)
    }

    /// Asks, and answers under which request id that was done, too.
    pub(crate) async fn authorize_under(
        &self,
        message: pb::AuthorizeRequest,
    ) -> (Result<pb::AuthorizeResponse, Refusal>, Option<String>) {
        let answer = self.line.get().tokens.authorize(self.request(message)).await;
        let metadata = answer.as_ref().map_or_else(Status::metadata, Response::metadata);
        let id = metadata.get(REQUEST_ID).map(|id| id.to_str().expect("text").to_owned());
        (answer.map(Response::into_inner).map_err(Refusal::from), id)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for (key, value) in &self.metadata {
            request.metadata_mut().append(*key, value.parse().expect("a header's value"));
        }
        request
    }
}

macro_rules! calls {
    ($($service:ident { $($method:ident: $request:ident => $response:ident,)* })*) => {
        impl Api {
            $($(
                pub(crate) async fn $method(
                    &self,
                    message: pb::$request,
                ) -> Result<pb::$response, Refusal> {
                    let answer = self.line.get().$service.$method(self.request(message)).await;
                    answer.map(tonic::Response::into_inner).map_err(Refusal::from)
                }
            )*)*
        }
    };
}

calls! {
    tokens {
        create_token: CreateTokenRequest => CreateTokenResponse,
        revoke_token: RevokeTokenRequest => RevokeTokenResponse,
        refresh_operation_token: RefreshOperationTokenRequest => RefreshOperationTokenResponse,
        authorize: AuthorizeRequest => AuthorizeResponse,
        get_token: GetTokenRequest => GetTokenResponse,
        list_tokens: ListTokensRequest => ListTokensResponse,
        get_caller: GetCallerRequest => GetCallerResponse,
    }
    directory {
        create_user: CreateUserRequest => CreateUserResponse,
        get_user: GetUserRequest => GetUserResponse,
        list_users: ListUsersRequest => ListUsersResponse,
        update_user: UpdateUserRequest => UpdateUserResponse,
        unlock_user: UnlockUserRequest => UnlockUserResponse,
        set_password: SetPasswordRequest => SetPasswordResponse,
        delete_user: DeleteUserRequest => DeleteUserResponse,
        set_user_roles: SetUserRolesRequest => SetUserRolesResponse,
        put_role: PutRoleRequest => PutRoleResponse,
        delete_role: DeleteRoleRequest => DeleteRoleResponse,
        list_roles: ListRolesRequest => ListRolesResponse,
    }
    keys {
        get_public_keys: GetPublicKeysRequest => GetPublicKeysResponse,
        list_signing_keys: ListSigningKeysRequest => ListSigningKeysResponse,
        rotate_signing_key: RotateSigningKeyRequest => RotateSigningKeyResponse,
        retire_signing_key: RetireSigningKeyRequest => RetireSigningKeyResponse,
    }
    audit { list_audit_events: ListAuditEventsRequest => ListAuditEventsResponse, }
    maintenance {
        purge: PurgeRequest => PurgeResponse,
        fence: FenceRequest => FenceResponse,
    }
}
