//! The description in OpenAPI 3.1 of all that is served, put together from what the handlers say
//! of themselves.

use http::StatusCode;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    Components, Header, Info, License, ObjectBuilder, OpenApi, OpenApiBuilder, RefOr, Server, Tag,
    Type,
};
use utoipa_axum::router::OpenApiRouter;

use super::dialect::Dialect;
use super::{Settings, Shim};

/// A user name and its password (RFC 7617), as operations name it in `security`.
const BASIC: &str = "basic";

/// A token (RFC 6750), as operations name it in `security`.
const BEARER: &str = "bearer";

/// What any path may answer, whatever else it says.
const ANYWHERE: [StatusCode; 6] = [
    StatusCode::BAD_REQUEST,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// The description without paths.
pub(super) fn document(settings: &Settings) -> OpenApi {
    let mut info = Info::new("tokend", env!("CARGO_PKG_VERSION"));
    info.description = Some("The documented HTTP token formats that tokend speaks.".to_owned());
    let mut license = License::new(env!("CARGO_PKG_LICENSE"));
    license.identifier = Some(env!("CARGO_PKG_LICENSE").to_owned());
    info.license = Some(license);
    let mut components = Components::new();
    let scheme = |scheme: HttpAuthScheme| SecurityScheme::Http(Http::new(scheme));
    components.add_security_scheme(BASIC, scheme(HttpAuthScheme::Basic));
    components.add_security_scheme(BEARER, scheme(HttpAuthScheme::Bearer));
    let server = settings.public_url.as_ref().map(Server::new);
    OpenApiBuilder::new()
        .info(info)
        .servers(server.map(|server| [server]))
        .components(Some(components))
        .build()
}

/// Writes a description as it is served and kept: indented, with a final line end.
pub(super) fn text(description: &OpenApi) -> String {
    // What has no form in JSON is nothing that the builders make.
    let mut text = description.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Adds to each operation of `D` what all of them have: the name of the dialect, before its id too,
/// and the answers that come from around the handlers.
pub(super) fn complete<D: Dialect>(description: &mut OpenApi) {
    description.tags = Some(vec![Tag::new(D::NAME)]);
    for item in description.paths.paths.values_mut() {
        for operation in operations(item) {
            operation.tags = Some(vec![D::NAME.to_owned()]);
            // Handlers are named within their dialect.
            if let Some(id) = &mut operation.operation_id {
                *id = format!("{}_{id}", D::NAME);
            }
            for status in ANYWHERE {
                let answer = || RefOr::T(refusal::<D>(status));
                let answers = &mut operation.responses.responses;
                answers.entry(status.as_str().to_owned()).or_insert_with(answer);
            }
        }
    }
}

/// Takes the ids from operations that stand on another path with them already.
pub(super) fn repeated(mut routes: OpenApiRouter<Shim>) -> OpenApiRouter<Shim> {
    for item in routes.get_openapi_mut().paths.paths.values_mut() {
        for operation in operations(item) {
            operation.operation_id = None;
        }
    }
    routes
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let of = [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.options,
        &mut item.head,
        &mut item.patch,
        &mut item.trace,
    ];
    of.into_iter().flatten()
}

/// What `D` answers with this status, where nobody has described it closer.
fn refusal<D: Dialect>(status: StatusCode) -> utoipa::openapi::Response {
    let mut response = D::refusal();
    if response.description.is_empty() {
        status.canonical_reason().unwrap_or_default().clone_into(&mut response.description);
    }
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).build();
        let mut header = Header::new(seconds);
        header.description = Some("When to come back, in seconds.".to_owned());
        response.headers.insert("Retry-After".to_owned(), header.into());
    }
    response
}
