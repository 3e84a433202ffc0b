//! What each fuzz target does with its bytes: it has the product read them, and checks what came out.
//!
//! None of these functions may panic, whatever the bytes.

#[cfg(test)]
mod tests;
mod tree;

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokend::authorization::{Authorization, Fault};
use tokend::rest::input::accept::Accept;
use tokend::rest::input::content_type::ContentType;
use tokend::rest::input::json::JsonFault;
use tokend::rest::input::soap::{Envelope, SoapFault};
use tokend::rest::input::xml::XmlFault;
use tokend::rest::input::{form, json, lifetime, soap, xml};

/// `Accept`: one header for each line. The choice is one of what was offered, and more versions
/// admit no less.
///
/// # Panics
/// Where that is not so.
pub fn accept(data: &[u8]) {
    const OFFERED: [&str; 3] = ["application/json", "application/xml", "text/xml"];
    let accept = Accept::parse(&headers(&header::ACCEPT, data));
    let chosen = accept.prefers(OFFERED[0], &OFFERED[1..]);
    assert!(OFFERED.contains(&chosen));
    let admitted = accept.admits_json(&["1"]).is_ok();
    assert!(!admitted || accept.admits_json(&["1", "2", "3"]).is_ok());
}

/// `Authorization`: what was read and is written again reads the same.
///
/// # Panics
/// Where it does not.
pub fn basic(data: &[u8]) {
    let of_basic = Authorization::parse_basic(data);
    match Authorization::parse(data) {
        Ok(Authorization::Basic { username, password }) => {
            let password = password.expose_secret();
            assert!(!username.contains(':'));
            let written = format!("bAsIc {}", STANDARD.encode(format!("{username}:{password}")));
            for again in [of_basic, Authorization::parse_basic(written.as_bytes())] {
                let (same_username, same_password) = again.expect("was read before");
                assert_eq!(same_username, username);
                assert_eq!(same_password.expose_secret(), password);
            }
        }
        Ok(Authorization::Bearer(token)) => {
            assert_eq!(of_basic.err(), Some(Fault::Absent));
            let token = token.expose_secret();
            assert!(!token.is_empty() && !token.contains([' ', '\t']));
            let again = Authorization::parse(format!("Bearer {token}").as_bytes());
            assert!(
                matches!(again, Ok(Authorization::Bearer(same)) if same.expose_secret() == token)
            );
        }
        Err(fault) => {
            let other = of_basic.expect_err("is no Basic");
            assert!(other == fault || other == Fault::Absent);
        }
    }
}

/// `Content-Type`: one header for each line. What was read and is written again reads the same.
///
/// # Panics
/// Where it does not.
pub fn content_type(data: &[u8]) {
    let Ok(read) = ContentType::parse(&headers(&header::CONTENT_TYPE, data)) else { return };
    let ContentType { essence, charset } = &read;
    assert_eq!(*essence, essence.to_ascii_lowercase());
    let written = match charset {
        Some(charset) => format!("{essence}; charset=\"{charset}\""),
        None => essence.clone(),
    };
    let again = headers(&header::CONTENT_TYPE, written.as_bytes());
    assert_eq!(ContentType::parse(&again).as_ref(), Ok(&read), "{written}");
}

/// Forms: no name twice, no more than 64, and what was read and is written again reads the same.
///
/// # Panics
/// Where that is not so.
pub fn form(data: &[u8]) {
    let Some(read) = pairs(data) else { return };
    assert!(read.len() <= 64);
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let parts: Vec<_> =
        read.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    assert_eq!(pairs(parts.join("&").as_bytes()).as_ref(), Some(&read));
    let names: HashSet<_> = read.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), read.len());
}

/// JSON: what is accepted is what `serde_json` reads, and what is malformed it refuses, too. What
/// was read and is written again reads the same.
///
/// # Panics
/// Where that is not so.
pub fn json(data: &[u8]) {
    let reference = serde_json::from_slice::<Value>(data).ok();
    match json::parse(data) {
        Ok(value) => {
            assert!(tree::depth(&value) <= 32);
            let text = value.to_string();
            // An object with such a key is a raw text to `serde_json`, and an object to us.
            if !text.contains("$serde_json::private") {
                assert_eq!(reference.map(|value| value.to_string()), Some(text.clone()));
            }
            let again = json::parse(text.as_bytes()).expect("was written");
            assert!(tree::is_same(&value, &again), "{text}");
        }
        Err(JsonFault::Empty | JsonFault::Malformed) => assert_eq!(reference, None),
        Err(JsonFault::TooDeep | JsonFault::DuplicateKey(_)) => {}
    }
}

/// Lifetimes: at most 10,000 years, whatever the case, and written in seconds the same.
///
/// # Panics
/// Where that is not so.
pub fn lifetime(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = lifetime::parse(text);
    assert_eq!(lifetime::parse(&text.to_ascii_uppercase()), read);
    let Ok(length) = read else { return };
    assert!(length <= Duration::from_hours(24 * 3_652_500));
    let written = format!("{}.{:09} seconds", length.as_secs(), length.subsec_nanos());
    assert_eq!(lifetime::parse(&written), Ok(length));
}

/// SOAP: what is no XML is no envelope, and what was read and is written again reads the same.
///
/// # Panics
/// Where that is not so.
pub fn soap(data: &[u8]) {
    match (call(data), xml::parse(data)) {
        (Ok(call), Ok(_)) => {
            let again = tree::envelope(call.version, &call.operation, &call.fields);
            assert_eq!(self::call(again.as_bytes()).as_ref(), Ok(&call));
        }
        (Err(SoapFault::Xml(fault)), Err(other)) => assert_eq!(fault, other),
        (Err(fault), Ok(_)) => assert!(!matches!(fault, SoapFault::Xml(_))),
        (call, Err(fault)) => panic!("{call:?} in spite of {fault:?}"),
    }
}

/// XML: within the bounds, and what was read and is written again reads the same.
///
/// # Panics
/// Where that is not so.
pub fn xml(data: &[u8]) {
    let Ok(element) = xml::parse(data) else { return };
    tree::check(&element);
    let text = tree::write(&element);
    match xml::parse(text.as_bytes()) {
        Ok(again) => assert_eq!(tree::write(&again), text),
        // Each element declares all that it needs, which may be more than was there.
        Err(XmlFault::TooManyAttributes | XmlFault::Namespaces) => {}
        Err(fault) => panic!("{fault}: {text}"),
    }
}

#[derive(Debug, PartialEq)]
struct Call {
    version: soap::Version,
    operation: String,
    fields: Vec<(String, String)>,
}

fn call(data: &[u8]) -> Result<Call, SoapFault> {
    let mut read = soap::parse(data)?;
    let names: Vec<_> = read.names().map(str::to_owned).collect();
    let fields = names.into_iter().map(|name| {
        let text = read.take(&name).expect("is there").expose_secret().to_owned();
        (name, text)
    });
    let fields = fields.collect();
    let Envelope { version, operation, .. } = read;
    Ok(Call { version, operation, fields })
}

fn pairs(data: &[u8]) -> Option<Vec<(String, String)>> {
    let mut read = form::parse(data).ok()?;
    let names: Vec<_> = read.names().map(str::to_owned).collect();
    let pairs = names.into_iter().map(|name| {
        let value = read.take(&name).expect("is there").expose_secret().to_owned();
        (name, value)
    });
    Some(pairs.collect())
}

// What can't be in a header never comes to the product.
fn headers(name: &HeaderName, data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in
        data.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok())
    {
        headers.append(name, value);
    }
    headers
}
