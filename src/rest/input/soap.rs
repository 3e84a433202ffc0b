//! SOAP envelopes, 1.1 and 1.2: which operation is called, and with what.

use std::collections::HashSet;

use secrecy::{ExposeSecret as _, SecretString};

use super::shown;
use super::xml::{self, Element, XmlFault};

/// The version of SOAP that an envelope is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// SOAP 1.1.
    V1_1,
    /// SOAP 1.2.
    V1_2,
}

/// A call of one operation.
#[derive(Debug)]
pub struct Envelope {
    /// The version that the answer is to be written in as well.
    pub version: Version,
    /// The name of the one element in the body, without its prefix.
    pub operation: String,
    /// The namespace of that element.
    pub namespace: Option<String>,
    // In the order they were sent, no name twice.
    fields: Vec<(String, SecretString)>,
}

/// Why bytes are not an envelope that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SoapFault {
    /// It is not even the XML that is read here.
    #[error(transparent)]
    Xml(#[from] XmlFault),
    /// The root is no envelope of SOAP 1.1 or 1.2, or holds something besides one header, if any,
    /// and then one body.
    #[error("the XML is no SOAP envelope")]
    NotAnEnvelope,
    /// The body is empty, or holds more than one element.
    #[error("the envelope calls no single operation")]
    NoOperation(Version),
    /// The header holds a block that must be understood. None is.
    #[error("the envelope has a header that must be understood")]
    MustUnderstand(Version),
    /// This field comes twice. The name is shortened to what may be shown.
    #[error("the field `{name}` comes twice")]
    DuplicateField {
        /// The version of the envelope.
        version: Version,
        /// The field.
        name: String,
    },
    /// This field holds elements. The name is shortened to what may be shown.
    #[error("the field `{name}` is no text")]
    NestedField {
        /// The version of the envelope.
        version: Version,
        /// The field.
        name: String,
    },
}

/// Reads an envelope. Fields are told apart by their names without prefixes; their attributes,
/// and text between elements, are left out.
///
/// # Errors
/// The first [`SoapFault`] of the bytes.
pub fn parse(bytes: &[u8]) -> Result<Envelope, SoapFault> {
    let root = xml::parse(bytes)?;
    let version = Version::of(root.namespace.as_deref()).ok_or(SoapFault::NotAnEnvelope)?;
    if root.name != "Envelope" {
        return Err(SoapFault::NotAnEnvelope);
    }
    let mut parts = root.children.into_iter().peekable();
    if let Some(header) = parts.next_if(|part| version.names(part, "Header"))
        && header.children.iter().any(|block| version.demands(block))
    {
        return Err(SoapFault::MustUnderstand(version));
    }
    let body = parts.next().filter(|part| version.names(part, "Body"));
    let body = body.filter(|_| parts.next().is_none()).ok_or(SoapFault::NotAnEnvelope)?;
    let mut calls = body.children.into_iter();
    let (Some(call), None) = (calls.next(), calls.next()) else {
        return Err(SoapFault::NoOperation(version));
    };
    let fields = fields(version, call.children)?;
    Ok(Envelope { version, operation: call.name, namespace: call.namespace, fields })
}

impl Envelope {
    /// Takes the text of a field out. `None` where it was not sent, or was taken already.
    pub fn take(&mut self, name: &str) -> Option<SecretString> {
        let at = self.fields.iter().position(|(other, _)| other == name)?;
        Some(self.fields.remove(at).1)
    }

    /// The names of the fields that were not taken yet.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }
}

impl SoapFault {
    /// The version to answer in: that of the envelope, and 1.2 where there was none.
    #[must_use]
    pub fn version(&self) -> Version {
        match self {
            Self::Xml(_) | Self::NotAnEnvelope => Version::V1_2,
            Self::NoOperation(version)
            | Self::MustUnderstand(version)
            | Self::DuplicateField { version, name: _ }
            | Self::NestedField { version, name: _ } => *version,
        }
    }
}

impl Version {
    /// The namespace of its envelopes.
    #[must_use]
    pub fn namespace(self) -> &'static str {
        match self {
            Self::V1_1 => "http://schemas.xmlsoap.org/soap/envelope/",
            Self::V1_2 => "http://www.w3.org/2003/05/soap-envelope",
        }
    }

    fn of(namespace: Option<&str>) -> Option<Self> {
        [Self::V1_1, Self::V1_2].into_iter().find(|version| namespace == Some(version.namespace()))
    }

    fn names(self, element: &Element, name: &str) -> bool {
        element.name == name && element.namespace.as_deref() == Some(self.namespace())
    }

    fn demands(self, block: &Element) -> bool {
        block.attributes.iter().any(|attribute| {
            attribute.name == "mustUnderstand"
                && attribute.namespace.as_deref() == Some(self.namespace())
                && matches!(attribute.value.expose_secret().trim(), "1" | "true")
        })
    }
}

fn fields(
    version: Version,
    elements: Vec<Element>,
) -> Result<Vec<(String, SecretString)>, SoapFault> {
    let mut fields: Vec<(String, SecretString)> = Vec::with_capacity(elements.len());
    let mut seen = HashSet::with_capacity(elements.len());
    for element in elements {
        let Element { namespace: _, name, attributes: _, children, text } = element;
        if !children.is_empty() {
            return Err(SoapFault::NestedField { version, name: shown(&name) });
        }
        if !seen.insert(name.clone()) {
            return Err(SoapFault::DuplicateField { version, name: shown(&name) });
        }
        fields.push((name, text));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::escape::escape;

    use super::*;

    const VERSIONS: [Version; 2] = [Version::V1_1, Version::V1_2];

    fn envelope(version: Version, inside: &str) -> String {
        format!("<e:Envelope xmlns:e=\"{}\">{inside}</e:Envelope>", version.namespace())
    }

    fn read(text: &str) -> Result<(String, Vec<(String, String)>), SoapFault> {
        let shown = |(name, text): (String, SecretString)| (name, text.expose_secret().to_owned());
        let Envelope { version: _, operation, namespace: _, fields } = parse(text.as_bytes())?;
        Ok((operation, fields.into_iter().map(shown).collect()))
    }

    #[test]
    fn reads_the_operation_and_its_fields() {
        for version in VERSIONS {
            let text = envelope(
                version,
                "<e:Body><n:CreateRequest xmlns:n=\"urn:n\"> <username>admin</username>\
                 <n:password> a&amp;b </n:password><empty/></n:CreateRequest></e:Body>",
            );
            let mut envelope = parse(text.as_bytes()).unwrap();
            assert_eq!(envelope.version, version);
            assert_eq!(envelope.operation, "CreateRequest");
            assert_eq!(envelope.namespace.as_deref(), Some("urn:n"));
            assert_eq!(envelope.take("username").unwrap().expose_secret(), "admin");
            assert_eq!(envelope.take("password").unwrap().expose_secret(), " a&b ");
            assert!(envelope.take("password").is_none());
            assert_eq!(envelope.names().collect::<Vec<_>>(), ["empty"]);
        }
    }

    #[test]
    fn reads_the_documented_call() {
        let text = "<env:Envelope xmlns:env=\"http://www.w3.org/2003/05/soap-envelope\" \
            xmlns:ns1=\"http://magento.host/soap/default?services=integrationAdminTokenServiceV1\">\
            <env:Body><ns1:integrationAdminTokenServiceV1CreateAdminAccessTokenRequest>\
            <username>admin</username><password>admin123</password>\
            </ns1:integrationAdminTokenServiceV1CreateAdminAccessTokenRequest></env:Body>\
            </env:Envelope>";
        let field = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let fields = vec![field("username", "admin"), field("password", "admin123")];
        let operation = "integrationAdminTokenServiceV1CreateAdminAccessTokenRequest".to_owned();
        assert_eq!(read(text), Ok((operation, fields)));
    }

    #[test]
    fn leaves_headers_out_that_need_not_be_understood() {
        for version in VERSIONS {
            for header in ["", "<x/>", "<x mustUnderstand='1'/>", "<x e:mustUnderstand='0'/>"] {
                let inside = format!("<e:Header>{header}</e:Header> <e:Body><op/></e:Body>");
                assert!(read(&envelope(version, &inside)).is_ok(), "{header}");
            }
            for header in ["<x e:mustUnderstand='1'/>", "<x/><y e:mustUnderstand=' true '/>"] {
                let inside = format!("<e:Header>{header}</e:Header><e:Body><op/></e:Body>");
                let fault = read(&envelope(version, &inside)).unwrap_err();
                assert_eq!(fault, SoapFault::MustUnderstand(version), "{header}");
                assert_eq!(fault.version(), version);
            }
        }
    }

    #[test]
    fn refuses_what_is_no_envelope() {
        for version in VERSIONS {
            for inside in [
                "",
                "<Body><op/></Body>",
                "<e:Header/>",
                "<e:Body><op/></e:Body><e:Header/>",
                "<e:Body><op/></e:Body><e:Body><op/></e:Body>",
                "<e:Header/><e:Header/><e:Body><op/></e:Body>",
                "<e:Body><op/></e:Body><x/>",
            ] {
                let fault = read(&envelope(version, inside)).unwrap_err();
                assert_eq!(fault, SoapFault::NotAnEnvelope, "{inside}");
            }
        }
        for text in [
            "<Envelope><Body><op/></Body></Envelope>",
            "<e:Envelope xmlns:e='urn:e'><e:Body><op/></e:Body></e:Envelope>",
            "<login xmlns='http://www.w3.org/2003/05/soap-envelope'><Body><op/></Body></login>",
            "<e:Envelope xmlns:e='http://www.w3.org/2003/05/soap-envelope'>\
             <f:Body xmlns:f='http://schemas.xmlsoap.org/soap/envelope/'><op/></f:Body></e:Envelope>",
        ] {
            assert_eq!(read(text), Err(SoapFault::NotAnEnvelope), "{text}");
        }
    }

    #[test]
    fn names_what_is_wrong_in_the_body() {
        for version in VERSIONS {
            let fault = |body: &str| {
                read(&envelope(version, &format!("<e:Body>{body}</e:Body>"))).unwrap_err()
            };
            assert_eq!(fault(""), SoapFault::NoOperation(version));
            assert_eq!(fault("<a/><b/>"), SoapFault::NoOperation(version));
            let name = "a".to_owned();
            let twice = SoapFault::DuplicateField { version, name: name.clone() };
            assert_eq!(fault("<op><a/><b/><a/></op>"), twice);
            assert_eq!(fault("<op><a/><x:a xmlns:x='urn:x'/></op>"), twice);
            assert_eq!(fault("<op><a><b/></a></op>"), SoapFault::NestedField { version, name });
        }
    }

    #[test]
    fn passes_on_why_it_is_no_xml() {
        let text = format!("<!DOCTYPE a>{}", envelope(Version::V1_2, "<e:Body><op/></e:Body>"));
        assert_eq!(read(&text), Err(SoapFault::Xml(XmlFault::Doctype)));
        assert_eq!(read(""), Err(SoapFault::Xml(XmlFault::Empty)));
    }

    proptest! {
        #[test]
        fn judges_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn reads_what_was_written(
            operation in "[a-zA-Z][a-zA-Z0-9]{0,20}",
            fields in proptest::collection::btree_map(
                "[a-zA-Z][a-zA-Z0-9]{0,10}", "[\r\n -\u{d7ff}]{0,20}", 0..10),
        ) {
            let one = |(name, text): (&String, &String)| format!("<{name}>{}</{name}>", escape(text));
            let inside: String = fields.iter().map(one).collect();
            let body = format!("<e:Body><{operation}>{inside}</{operation}></e:Body>");
            let expected = (operation, fields.into_iter().collect());
            prop_assert_eq!(read(&envelope(Version::V1_2, &body)), Ok(expected));
        }
    }
}
