//! What SOAP clients send, and how an answer is held to its row.

use super::super::table::Row;
use crate::support::http::{Exchange, HttpRequest};
use crate::support::{ADMIN_PASSWORD, World};

pub(super) const PAGE: &str = "magento-soap";
pub(super) const SOAP_1_1: &str = "http://schemas.xmlsoap.org/soap/envelope/";
pub(super) const SOAP_1_2: &str = "http://www.w3.org/2003/05/soap-envelope";
pub(super) const ADMIN: &str = "integrationAdminTokenServiceV1";
pub(super) const ADMIN_OPERATION: &str = "integrationAdminTokenServiceV1CreateAdminAccessToken";
pub(super) const CUSTOMER: &str = "integrationCustomerTokenServiceV1";
pub(super) const CUSTOMER_OPERATION: &str =
    "integrationCustomerTokenServiceV1CreateCustomerAccessToken";
pub(super) const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Holds an answer to its row: the status, and the one line of the body.
pub(super) fn hold(row: &Row, mut exchange: Exchange) {
    let line = exchange.body.strip_prefix(XML).and_then(|rest| rest.strip_suffix('\n'));
    exchange.body = line.unwrap_or_else(|| panic!("{exchange}")).to_owned();
    row.holds(&exchange);
}

/// The same, and the headers.
pub(super) fn hold_all(row: &Row, exchange: Exchange) {
    row.holds_headers(PAGE, &exchange);
    hold(row, exchange);
}

pub(super) fn wsdl(world: &World, query: &str) -> HttpRequest {
    world.http().get(&format!("/soap/default?{query}"))
}

/// A call of a service, without an envelope yet.
pub(super) fn post(world: &World, services: &str) -> HttpRequest {
    let request = world.http().post(&format!("/soap/default?services={services}"));
    request.header("content-type", "application/soap+xml; charset=utf-8")
}

/// An envelope around `body`, in which the prefix `ns1` is the documented namespace of `service`.
pub(super) fn envelope(version: &str, service: &str, body: &str) -> String {
    format!(
        "<env:Envelope xmlns:env=\"{version}\" \
         xmlns:ns1=\"http://magento.host/soap/default?services={service}\">\
         <env:Body>{body}</env:Body></env:Envelope>"
    )
}

/// The documented call of the admins' service.
pub(super) fn admin(version: &str, fields: &str) -> String {
    let body = format!("<ns1:{ADMIN_OPERATION}Request>{fields}</ns1:{ADMIN_OPERATION}Request>");
    envelope(version, ADMIN, &body)
}

pub(super) fn customer(fields: &str) -> String {
    let body =
        format!("<ns1:{CUSTOMER_OPERATION}Request>{fields}</ns1:{CUSTOMER_OPERATION}Request>");
    envelope(SOAP_1_2, CUSTOMER, &body)
}

pub(super) fn fields(username: &str, password: &str) -> String {
    format!("<username>{username}</username><password>{password}</password>")
}

pub(super) fn good() -> String {
    admin(SOAP_1_2, &fields("admin", ADMIN_PASSWORD))
}

pub(super) async fn call(world: &World, envelope: String) -> Exchange {
    post(world, ADMIN).body(envelope).send().await
}

pub(super) fn token(exchange: &Exchange) -> &str {
    let (_, rest) = exchange.body.split_once("<result>").expect("a result");
    rest.split_once("</result>").expect("its end").0
}
