//! Magento over SOAP: `integrationAdminTokenServiceV1` and `integrationCustomerTokenServiceV1`, with
//! their WSDL. `docs/dialects/magento-soap.md` is the table.

mod endpoint;
mod fault;
mod query;
mod reply;
mod service;
#[cfg(test)]
mod tests;
mod wsdl;

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use http::{HeaderMap, header};
use secrecy::{ExposeSecret as _, SecretString};
use utoipa::openapi::{ContentBuilder, Object, ObjectBuilder, ResponseBuilder, Type};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use self::endpoint::Endpoint;
use self::fault::Fault;
use self::query::{QueryFault, Services};
use self::reply::Reply;
use self::service::Service;
use super::credentials::Credentials;
use super::refusal::Refusal;
use crate::rest::call::Call;
use crate::rest::dialect::{Dialect, Mount, not_allowed};
use crate::rest::failure::Failure;
use crate::rest::input::soap::{self, Envelope, SoapFault};
use crate::rest::{Settings, Shim, openapi};

/// The line of the table.
pub(in crate::rest::dialect) const MOUNT: Mount = Mount::of::<MagentoSoap>();

/// Magento's tokens for admins and customers, over SOAP.
#[derive(Debug)]
enum MagentoSoap {}

impl Dialect for MagentoSoap {
    const NAME: &'static str = "magento-soap";

    fn base_path(settings: &Settings) -> Option<&str> {
        let magento = &settings.magento;
        magento.enabled.then_some(magento.base_path.as_str())
    }

    fn routes(settings: &Settings) -> OpenApiRouter<Shim> {
        let mut routes = OpenApiRouter::default().nest("/soap", operations());
        for path in endpoints(&settings.magento.stores) {
            routes = routes.nest(&path, openapi::repeated(operations()));
        }
        let nothing = || any(async || Failure::NotFound);
        Self::undescribed().iter().fold(routes, |routes, path| routes.route(path, nothing()))
    }

    // The stores that there are not.
    fn undescribed() -> Vec<String> {
        let under = |path| [format!("{path}/"), format!("{path}/{{*other}}")];
        ["/soap", "/index.php/soap"].into_iter().flat_map(under).collect()
    }

    fn render(failure: &Failure, asked: &HeaderMap) -> Response {
        reply::before_reading(asked).fault(&failure.into())
    }

    fn refusal() -> utoipa::openapi::Response {
        let content = || ContentBuilder::new().schema(Some(xml())).build();
        ["application/soap+xml", "text/xml"]
            .into_iter()
            .fold(ResponseBuilder::new(), |response, media| response.content(media, content()))
            .build()
    }
}

fn xml() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

/// Where the operations are, beside `/soap`.
fn endpoints(stores: &[String]) -> impl Iterator<Item = String> {
    // A store that is named twice is one.
    let stores: BTreeSet<_> = stores.iter().collect();
    let under = move |path: &str| -> Vec<String> {
        stores.iter().map(|store| format!("{path}/{store}")).collect()
    };
    let index = "/index.php/soap";
    under("/soap").into_iter().chain([index.to_owned()]).chain(under(index))
}

fn operations() -> OpenApiRouter<Shim> {
    let other = || not_allowed("GET, HEAD, POST");
    OpenApiRouter::default()
        .routes(routes!(describe, call_operation).map(|methods| methods.fallback(other())))
}

/// Answers the WSDL of some services.
#[utoipa::path(
    get,
    path = "/",
    params(
        ("wsdl" = String, Query, description = "Its value is not looked at"),
        ("services" = String, Query, description = "Their names, with commas between them",
         example = "integrationAdminTokenServiceV1"),
    ),
    responses(
        (status = 200, description = "The WSDL", body = String, content_type = "text/xml"),
        (status = 400, description = "No WSDL is asked for", body = String,
         content_type = "text/xml"),
        (status = 404, description = "There is no such service", body = String,
         content_type = "text/xml"),
    ),
)]
async fn describe(endpoint: Endpoint) -> Response {
    match endpoint.query().and_then(|query| query.of_wsdl()) {
        Ok(services) => {
            let text = wsdl::document(&endpoint.of(&services), &services);
            ([(header::CONTENT_TYPE, reply::WSDL)], text).into_response()
        }
        Err(fault) => reply::of_wsdl().fault(&Fault::of_wsdl(&fault)),
    }
}

/// Calls an operation of a service: makes a token for a user's name and password.
#[utoipa::path(
    post,
    path = "/",
    params(("services" = String, Query, description = "The services, with commas between them",
            example = "integrationAdminTokenServiceV1")),
    request_body(
        description = "An envelope of SOAP 1.2 or 1.1",
        content((String = "application/soap+xml"), (String = "text/xml")),
    ),
    responses((
        status = 200,
        description = "The token, or a fault of the service, in the version of the request",
        content((String = "application/soap+xml"), (String = "text/xml")),
    )),
)]
async fn call_operation(
    State(shim): State<Shim>,
    call: Call,
    endpoint: Endpoint,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let services = endpoint.query().and_then(|query| query.of_call());
    let read = soap::parse(&body);
    let own = || services.as_ref().map_or_else(|_| String::new(), |named| endpoint.of(named));
    let reply = match &read {
        // The client's own namespace: behind a proxy it may know us by another.
        Ok(envelope) => Reply::to(envelope.version, envelope.namespace.clone().unwrap_or_else(own)),
        Err(SoapFault::Xml(_) | SoapFault::NotAnEnvelope) => reply::before_reading(&headers),
        Err(fault) => Reply::to(fault.version(), own()),
    };
    match answer(&shim, &call, services, read).await {
        Ok((service, token)) => reply.result(service.operation(), &token),
        Err(fault) => reply.fault(&fault),
    }
}

// In the vendor's order: the XML, the services, the envelope, the operation, the fields.
async fn answer(
    shim: &Shim,
    call: &Call,
    services: Result<Services, QueryFault>,
    read: Result<Envelope, SoapFault>,
) -> Result<(Service, String), Fault> {
    if let Err(fault @ SoapFault::Xml(_)) = read {
        return Err(fault.into());
    }
    let services = services?;
    let mut envelope = read?;
    let service = services.called_by(&envelope.operation).ok_or_else(Fault::no_procedure)?;
    let credentials = credentials(&mut envelope)?;
    let members = service.members(&shim.settings.magento);
    let token = super::sign_in(shim, call, members, credentials)
        .await
        .map_err(|failure| Fault::from(&failure))?;
    Ok((service, token))
}

/// The name and the password, neither empty.
fn credentials(envelope: &mut Envelope) -> Result<Credentials, Refusal> {
    let mut take =
        |name| envelope.take(name).filter(|value: &SecretString| !value.expose_secret().is_empty());
    Credentials::of_present(take("username"), take("password"))
}
