//! Envelopes that answer: results and faults, in SOAP 1.2 and 1.1.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, header};
use quick_xml::escape::escape;

use super::super::refusal::{self, Parameters};
use super::fault::{Code, Fault};
use crate::rest::input::content_type::ContentType;
use crate::rest::input::soap::Version;
use crate::rest::input::xml::is_char;

/// What a WSDL is sent as.
pub(super) const WSDL: &str = "text/xml; charset=UTF-8";

const SOAP_1_1: &str = "text/xml; charset=utf-8";
const SOAP_1_2: &str = "application/soap+xml; charset=utf-8";

/// The namespace of `rpc:ProcedureNotPresent`.
const RPC: &str = "http://www.w3.org/2003/05/soap-rpc";

/// How a request is answered.
#[derive(Debug)]
pub(super) struct Reply {
    version: Version,
    content_type: &'static str,
    namespace: String,
}

/// Answers a request whose envelope was not read: in the version that goes with its content type.
pub(super) fn before_reading(headers: &HeaderMap) -> Reply {
    let text = ContentType::parse(headers).is_ok_and(|media| media.essence == "text/xml");
    Reply::to(if text { Version::V1_1 } else { Version::V1_2 }, String::new())
}

/// Answers a request for a WSDL.
pub(super) fn of_wsdl() -> Reply {
    Reply { content_type: WSDL, ..Reply::to(Version::V1_2, String::new()) }
}

impl Reply {
    /// Answers an envelope of this version, whose operation is of this namespace.
    pub(super) fn to(version: Version, namespace: String) -> Self {
        let content_type = match version {
            Version::V1_1 => SOAP_1_1,
            Version::V1_2 => SOAP_1_2,
        };
        Self { version, content_type, namespace }
    }

    /// Answers the token that an operation made.
    pub(super) fn result(&self, operation: &str, token: &str) -> Response {
        let token = escaped(token);
        let body =
            format!("<ns1:{operation}Response><result>{token}</result></ns1:{operation}Response>");
        let content_type = [(header::CONTENT_TYPE, self.content_type)];
        let secret = [(header::CACHE_CONTROL, "no-store")];
        (content_type, secret, self.envelope(&self.declared("ns1"), &body)).into_response()
    }

    /// Answers a fault, with the status that goes with it.
    pub(super) fn fault(&self, fault: &Fault) -> Response {
        let Fault { status, code, reason, parameters, errors, retry_after } = fault;
        let detail = detail(parameters, errors);
        let mut declared = String::new();
        if *code == Code::ProcedureNotPresent && self.version == Version::V1_2 {
            declared = format!(" xmlns:rpc=\"{RPC}\"");
        }
        if !detail.is_empty() {
            declared += &self.declared("m");
        }
        let body = match self.version {
            Version::V1_1 => fault_1_1(*code, reason, &detail),
            Version::V1_2 => fault_1_2(*code, reason, &detail),
        };
        let content_type = [(header::CONTENT_TYPE, self.content_type)];
        let text = self.envelope(&declared, &body);
        let mut response = (*status, content_type, text).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
        }
        response
    }

    fn declared(&self, prefix: &str) -> String {
        format!(" xmlns:{prefix}=\"{}\"", escaped(&self.namespace))
    }

    fn envelope(&self, declared: &str, body: &str) -> String {
        let (prefix, namespace) = (prefix(self.version), self.version.namespace());
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <{prefix}:Envelope xmlns:{prefix}=\"{namespace}\"{declared}>\
             <{prefix}:Body>{body}</{prefix}:Body></{prefix}:Envelope>\n"
        )
    }
}

// As the vendor's stack writes them.
fn prefix(version: Version) -> &'static str {
    match version {
        Version::V1_1 => "SOAP-ENV",
        Version::V1_2 => "env",
    }
}

fn fault_1_1(code: Code, reason: &str, detail: &str) -> String {
    let code = match code {
        Code::Sender => "Client",
        // So the vendor's stack has it: SOAP 1.1 knows no closer code.
        Code::Receiver | Code::ProcedureNotPresent => "Server",
        Code::VersionMismatch => "VersionMismatch",
        Code::MustUnderstand => "MustUnderstand",
    };
    let reason = escaped(reason);
    let detail =
        if detail.is_empty() { String::new() } else { format!("<detail>{detail}</detail>") };
    format!(
        "<SOAP-ENV:Fault><faultcode>SOAP-ENV:{code}</faultcode>\
         <faultstring>{reason}</faultstring>{detail}</SOAP-ENV:Fault>"
    )
}

fn fault_1_2(code: Code, reason: &str, detail: &str) -> String {
    let code = match code {
        Code::Sender => "env:Sender",
        Code::Receiver => "env:Receiver",
        Code::VersionMismatch => "env:VersionMismatch",
        Code::MustUnderstand => "env:MustUnderstand",
        Code::ProcedureNotPresent => "rpc:ProcedureNotPresent",
    };
    let reason = escaped(reason);
    let detail = if detail.is_empty() {
        String::new()
    } else {
        format!("<env:Detail>{detail}</env:Detail>")
    };
    format!(
        "<env:Fault><env:Code><env:Value>{code}</env:Value></env:Code>\
         <env:Reason><env:Text xml:lang=\"en\">{reason}</env:Text></env:Reason>{detail}</env:Fault>"
    )
}

/// What a fault says beside its reason; empty where that is all.
fn detail(parameters: &Parameters, errors: &[refusal::Fault]) -> String {
    let mut inside = String::new();
    if !parameters.is_empty() {
        inside += &element("Parameters", &pairs("GenericFaultParameter", parameters));
    }
    if !errors.is_empty() {
        let wrapped = errors.iter().map(|error| {
            let refusal::Fault { message, parameters } = error;
            let message = element("message", &escaped(message));
            let parameters = element("parameters", &pairs("parameter", parameters));
            element("WrappedError", &(message + &parameters))
        });
        inside += &element("WrappedErrors", &wrapped.collect::<String>());
    }
    if inside.is_empty() { inside } else { element("GenericFault", &inside) }
}

fn pairs(name: &str, parameters: &Parameters) -> String {
    let pair = |(key, value): (&&str, &&str)| {
        let pair = element("key", &escaped(key)) + &element("value", &escaped(value));
        element(name, &pair)
    };
    parameters.iter().map(pair).collect()
}

fn element(name: &str, inside: &str) -> String {
    format!("<m:{name}>{inside}</m:{name}>")
}

/// Writes text for XML, in an element or between double quotes. What XML can't hold becomes U+FFFD.
pub(super) fn escaped(text: &str) -> String {
    let text: String =
        text.chars().map(|letter| if is_char(letter) { letter } else { '\u{fffd}' }).collect();
    escape(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_xml_cannot_hold() {
        assert_eq!(escaped("a<b>&\"'c"), "a&lt;b&gt;&amp;&quot;&apos;c");
        assert_eq!(escaped("a\0\u{1b}\u{fffe}é\u{1f600}"), "a\u{fffd}\u{fffd}\u{fffd}é\u{1f600}");
    }
}
