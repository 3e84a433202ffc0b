//! The table of dialects, and what they have in common. To add one: a file with a `MOUNT`, and a
//! line in [`DIALECTS`]. Where the line is forgotten, rustc says that `MOUNT` is never used.

pub(super) mod azion;

use std::any::Any;
use std::future::{Ready, ready};
use std::marker::PhantomData;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, header};
use tonic::Status;
use tower_http::catch_panic::CatchPanicLayer;

use super::body;
use super::failure::Failure;
use super::observe::observe;
use super::{Settings, Shim, TARGET};

/// Every dialect that the shim speaks.
pub(super) const DIALECTS: [Mount; 1] = [azion::MOUNT];

/// One documented HTTP token format. It translates and decides nothing: who may do what is
/// decided behind the contract.
pub(super) trait Dialect: Send + Sync + 'static {
    /// What spans call it.
    const NAME: &'static str;

    /// The path that its routes stand under, where it is spoken at all.
    fn base_path(settings: &Settings) -> Option<&str>;

    /// Its paths. Bodies reach them whole and bounded; panics are caught around them.
    fn routes() -> Router<Shim>;

    /// Puts a failure into its own words. Call [`answer`], which adds what all dialects send.
    fn render(failure: &Failure) -> Response;
}

/// A line of [`DIALECTS`].
pub(super) struct Mount(fn(Router<Shim>, &Shim) -> Router<Shim>);

impl Mount {
    const fn of<D: Dialect>() -> Self {
        Self(mount::<D>)
    }

    /// Adds the dialect to `app`, where the settings ask for it.
    pub(super) fn onto(&self, app: Router<Shim>, shim: &Shim) -> Router<Shim> {
        (self.0)(app, shim)
    }
}

/// Adds the dialect `D` to `app`, where the settings ask for it.
pub(super) fn mount<D: Dialect>(app: Router<Shim>, shim: &Shim) -> Router<Shim> {
    match D::base_path(&shim.settings) {
        None => app,
        Some("") => app.merge(guarded::<D>(D::routes(), shim)),
        Some(path) => app.nest(path, guarded::<D>(D::routes(), shim)),
    }
}

fn guarded<D: Dialect>(routes: Router<Shim>, shim: &Shim) -> Router<Shim> {
    routes
        .layer(from_fn_with_state(shim.clone(), body::bound::<D>))
        .layer(CatchPanicLayer::custom(caught::<D>))
        .layer(from_fn(observe::<D>))
}

// What the panic says is left out: nobody has looked through it for secrets.
fn caught<D: Dialect>(_: Box<dyn Any + Send>) -> Response {
    tracing::error!(target: TARGET, "a handler panicked");
    answer::<D>(&Failure::Internal)
}

/// Answers a failure in the words of `D`, with the headers that go with it in every dialect.
pub(super) fn answer<D: Dialect>(failure: &Failure) -> Response {
    let mut response = D::render(failure);
    if let Failure::Throttled(seconds) | Failure::Unavailable(seconds) = failure {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    if let Failure::MethodNotAllowed { allow, .. } = failure {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}

/// Refuses a method, in the words of `D`, naming those that the path has.
pub(super) fn not_allowed<D: Dialect>(
    allow: &'static str,
) -> impl Fn(Method) -> Ready<Response> + Clone + Send + Sync + 'static {
    move |method| ready(answer::<D>(&Failure::MethodNotAllowed { method, allow }))
}

/// A refusal in the words of `D`, so that handlers may use `?` on calls. A dialect adds a `From`
/// for what it refuses by itself.
#[derive(Debug)]
pub(super) struct Rejection<D>(Box<Response>, PhantomData<D>);

impl<D> From<Response> for Rejection<D> {
    fn from(response: Response) -> Self {
        Self(Box::new(response), PhantomData)
    }
}

impl<D: Dialect> From<Failure> for Rejection<D> {
    fn from(failure: Failure) -> Self {
        answer::<D>(&failure).into()
    }
}

impl<D: Dialect> From<Status> for Rejection<D> {
    fn from(status: Status) -> Self {
        Failure::from(status).into()
    }
}

impl<D> IntoResponse for Rejection<D> {
    fn into_response(self) -> Response {
        *self.0
    }
}
