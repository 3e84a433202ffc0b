//! The table of dialects, and what they have in common. To add one: a file with a `MOUNT`, and a
//! line in [`DIALECTS`]. Where the line is forgotten, rustc says that `MOUNT` is never used.

pub(super) mod apinizer;
pub(super) mod azion;
pub(super) mod epilot;
pub(super) mod harperdb;
pub(super) mod magento;

use std::any::Any;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, header};
use tonic::Status;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::claims::{Claims, Clash};
use super::failure::Failure;
use super::observe::observe;
use super::{Settings, Shim, TARGET, body, openapi, own};

/// Every dialect that the shim speaks.
const DIALECTS: [Mount; 6] = [
    azion::MOUNT,
    apinizer::MOUNT,
    harperdb::MOUNT,
    magento::MOUNT,
    magento::soap::MOUNT,
    epilot::MOUNT,
];

/// One documented HTTP token format. It translates and decides nothing: who may do what is
/// decided behind the contract.
pub(super) trait Dialect: Send + Sync + 'static {
    /// What spans and the description call it.
    const NAME: &'static str;

    /// The path that its routes stand under, where it is spoken at all.
    fn base_path(settings: &Settings) -> Option<&str>;

    /// Its paths, each with its description. Bodies reach them whole and bounded; panics are
    /// caught around them.
    fn routes(settings: &Settings) -> OpenApiRouter<Shim>;

    /// Those of its paths that have no description.
    fn undescribed() -> Vec<String> {
        Vec::new()
    }

    /// Puts a failure into its own words, in the form that the request's headers ask for. What all
    /// dialects send with it is added later.
    fn render(failure: &Failure, asked: &HeaderMap) -> Response;

    /// Describes what [`Self::render`] answers: the media types, and the schema of each.
    fn refusal() -> utoipa::openapi::Response;
}

/// A line of [`DIALECTS`].
pub(super) struct Mount(fn(&Settings) -> Option<Mounted>);

impl Mount {
    pub(super) const fn of<D: Dialect>() -> Self {
        Self(mount::<D>)
    }
}

/// A dialect on its path.
pub(super) struct Mounted {
    name: &'static str,
    routes: Router<Shim>,
    description: OpenApi,
    undescribed: Vec<String>,
    guard: fn(Router<Shim>, &Shim) -> Router<Shim>,
}

impl Mounted {
    /// Its routes, with what stands around them.
    pub(super) fn serve(self, shim: &Shim) -> Router<Shim> {
        (self.guard)(self.routes, shim)
    }
}

/// Mounts all that the settings ask for, and describes it in OpenAPI.
///
/// # Errors
/// [`Clash`] where two claim one path.
pub(super) fn routes(settings: &Settings) -> Result<(Vec<Mounted>, OpenApi), Clash> {
    let mut claims = Claims::default();
    let mut description = openapi::document(settings);
    let mut all = Vec::new();
    for Mount(mount) in [own::MOUNT].into_iter().chain(DIALECTS) {
        let Some(mounted) = mount(settings) else { continue };
        for path in mounted.description.paths.paths.keys().chain(&mounted.undescribed) {
            claims.take(path, mounted.name)?;
        }
        description.merge(mounted.description.clone());
        all.push(mounted);
    }
    Ok((all, description))
}

fn mount<D: Dialect>(settings: &Settings) -> Option<Mounted> {
    let base = D::base_path(settings)?;
    let routes = match base {
        "" => D::routes(settings),
        path => OpenApiRouter::default().nest(path, D::routes(settings)),
    };
    let undescribed = D::undescribed().into_iter().map(|path| format!("{base}{path}")).collect();
    let (routes, mut description) = routes.split_for_parts();
    openapi::complete::<D>(&mut description);
    Some(Mounted { name: D::NAME, routes, description, undescribed, guard: guard::<D> })
}

fn guard<D: Dialect>(routes: Router<Shim>, shim: &Shim) -> Router<Shim> {
    routes
        .layer(from_fn_with_state(shim.clone(), body::bound))
        .layer(CatchPanicLayer::custom(caught))
        .layer(from_fn(observe::<D>))
}

// What the panic says is left out: nobody has looked through it for secrets.
fn caught(_: Box<dyn Any + Send>) -> Response {
    tracing::error!(target: TARGET, "a handler panicked");
    Failure::Internal.into_response()
}

/// Puts a failure that a handler or a layer answered into the words of `D`, with the headers that
/// go with it in every dialect. Every other answer is left as it is.
pub(super) fn spoken<D: Dialect>(mut response: Response, asked: &HeaderMap) -> Response {
    let Some(failure) = response.extensions_mut().remove::<Arc<Failure>>() else {
        return response;
    };
    let mut response = D::render(&failure, asked);
    if let Failure::Throttled(seconds) | Failure::Unavailable(seconds) = &*failure {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    if let Failure::MethodNotAllowed { allow, .. } = &*failure {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}

/// Refuses a method, naming those that the path has.
pub(super) fn not_allowed(
    allow: &'static str,
) -> impl Fn(Method) -> Ready<Response> + Clone + Send + Sync + 'static {
    move |method| ready(Failure::MethodNotAllowed { method, allow }.into_response())
}

/// A refusal, so that handlers may use `?` on calls. A dialect adds a `From` for what it refuses
/// by itself.
#[derive(Debug)]
pub(super) struct Rejection<D>(Box<Response>, PhantomData<D>);

impl<D> From<Response> for Rejection<D> {
    fn from(response: Response) -> Self {
        Self(Box::new(response), PhantomData)
    }
}

impl<D> From<Failure> for Rejection<D> {
    fn from(failure: Failure) -> Self {
        failure.into_response().into()
    }
}

impl<D> From<Status> for Rejection<D> {
    fn from(status: Status) -> Self {
        Failure::from(status).into()
    }
}

impl<D> IntoResponse for Rejection<D> {
    fn into_response(self) -> Response {
        *self.0
    }
}
