//! XML 1.0 with namespaces, read into a small tree. No DTD, and nothing that expands.

mod names;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use quick_xml::errors::{Error, IllFormedError, SyntaxError};
use quick_xml::escape::{EscapeError, resolve_xml_entity};
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, NamespaceError, NamespaceResolver, QName, ResolveResult};
use quick_xml::{Reader, XmlVersion};
use secrecy::SecretString;

pub(in crate::rest) use names::is_char;

const DEEPEST: usize = 32;
const MOST_ATTRIBUTES: usize = 32;
const MOST_ELEMENTS: usize = 1024;
// Each element carries its own, so a long one would cost a thousand times its length.
const LONGEST_NAMESPACE: usize = 1024;

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// An element. Its `Debug` shows no text and no value of an attribute.
#[derive(Debug)]
pub struct Element {
    /// The namespace that its prefix, or the lack of one, stands for.
    pub namespace: Option<String>,
    /// The name without the prefix.
    pub name: String,
    /// Its attributes, declarations of namespaces left out.
    pub attributes: Vec<Attribute>,
    /// The elements in it.
    pub children: Vec<Self>,
    /// The text in it, without that of its children: references resolved, nothing trimmed.
    pub text: SecretString,
}

/// An attribute of an element.
#[derive(Debug)]
pub struct Attribute {
    /// The namespace of its prefix; `None` without a prefix.
    pub namespace: Option<String>,
    /// The name without the prefix.
    pub name: String,
    /// The value, its references resolved.
    pub value: SecretString,
}

/// Why bytes are not the XML that is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlFault {
    /// There is nothing but white space.
    #[error("there is no XML")]
    Empty,
    /// It is not UTF-8, or says that it is not.
    #[error("the XML is not UTF-8")]
    Encoding,
    /// There is a document type declaration.
    #[error("the XML has a document type")]
    Doctype,
    /// There is a processing instruction.
    #[error("the XML has a processing instruction")]
    Instruction,
    /// There is a reference to an entity other than the five that XML knows by itself.
    #[error("the XML refers to an entity")]
    Entity,
    /// Elements nest deeper than 32.
    #[error("the XML nests too deep")]
    TooDeep,
    /// There are more than 1024 elements.
    #[error("the XML has too many elements")]
    TooManyElements,
    /// An element has more than 32 attributes.
    #[error("an element of the XML has too many attributes")]
    TooManyAttributes,
    /// A namespace is longer than 1024 bytes, or more than 128 are declared around an element.
    #[error("the XML has too many namespaces, or one that is too long")]
    Namespaces,
    /// It is not well-formed, with or without regard to namespaces, or not XML 1.0.
    #[error("the XML is malformed")]
    Malformed,
}

/// Reads one document: its root element. CDATA is text; comments are left out.
///
/// # Errors
/// The first [`XmlFault`] of the bytes.
pub fn parse(bytes: &[u8]) -> Result<Element, XmlFault> {
    let mut reader = Reader::from_str(decode(bytes)?);
    reader.config_mut().check_comments = true;
    let mut tree = Tree::default();
    let mut at_start = true;
    loop {
        match reader.read_event().map_err(|error| fault(&error))? {
            Event::Start(tag) => tree.open(&tag)?,
            Event::Empty(tag) => tree.open(&tag).and_then(|()| tree.close())?,
            Event::End(_) => tree.close()?,
            Event::Text(text) if text.contains("]]>") => return Err(XmlFault::Malformed),
            Event::Text(text) => tree.add(&text.xml10_content())?,
            Event::CData(text) => tree.inside()?.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => tree.inside()?.refer(&reference)?,
            Event::Comment(_) => {}
            Event::Decl(declaration) if at_start => check(&declaration)?,
            Event::Decl(_) => return Err(XmlFault::Malformed),
            Event::PI(_) => return Err(XmlFault::Instruction),
            Event::DocType(_) => return Err(XmlFault::Doctype),
            Event::Eof => return tree.finish(),
        }
        at_start = false;
    }
}

#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    root: Option<Element>,
    namespaces: NamespaceResolver,
    count: usize,
}

/// An element whose end was not seen yet.
struct Open {
    namespace: Option<String>,
    name: String,
    attributes: Vec<Attribute>,
    children: Vec<Element>,
    text: String,
}

impl Tree {
    fn open(&mut self, tag: &BytesStart<'_>) -> Result<(), XmlFault> {
        if self.open.is_empty() && self.root.is_some() {
            return Err(XmlFault::Malformed);
        }
        if self.open.len() == DEEPEST {
            return Err(XmlFault::TooDeep);
        }
        if self.count == MOST_ELEMENTS {
            return Err(XmlFault::TooManyElements);
        }
        self.count += 1;
        let values = values(tag)?;
        self.declare(&values)?;
        let (namespace, name) = self.resolve(tag.name(), Kind::Element)?;
        let attributes = self.attributes(values)?;
        self.open.push(Open {
            namespace,
            name,
            attributes,
            children: Vec::new(),
            text: String::new(),
        });
        Ok(())
    }

    fn declare(&mut self, values: &[(QName<'_>, Cow<'_, str>)]) -> Result<(), XmlFault> {
        self.namespaces.set_level(self.namespaces.level().saturating_add(1));
        for (name, value) in values {
            let Some(prefix) = name.as_namespace_binding() else { continue };
            if value.len() > LONGEST_NAMESPACE {
                return Err(XmlFault::Namespaces);
            }
            if value.is_empty() && name.prefix().is_some() {
                return Err(XmlFault::Malformed);
            }
            match self.namespaces.add(prefix, Namespace(value)) {
                Ok(()) => {}
                Err(NamespaceError::TooManyBindings(_)) => return Err(XmlFault::Namespaces),
                Err(_) => return Err(XmlFault::Malformed),
            }
        }
        Ok(())
    }

    fn attributes(
        &self,
        values: Vec<(QName<'_>, Cow<'_, str>)>,
    ) -> Result<Vec<Attribute>, XmlFault> {
        let mut attributes: Vec<Attribute> = Vec::new();
        for (name, value) in values {
            if name.as_namespace_binding().is_some() {
                continue;
            }
            let (namespace, name) = self.resolve(name, Kind::Attribute)?;
            if attributes.iter().any(|other| other.name == name && other.namespace == namespace) {
                return Err(XmlFault::Malformed);
            }
            attributes.push(Attribute { namespace, name, value: value.into_owned().into() });
        }
        Ok(attributes)
    }

    fn resolve(&self, name: QName<'_>, kind: Kind) -> Result<(Option<String>, String), XmlFault> {
        let (namespace, local) = match kind {
            Kind::Element => self.namespaces.resolve_element(name),
            Kind::Attribute => self.namespaces.resolve_attribute(name),
        };
        let namespace = match namespace {
            ResolveResult::Bound(Namespace(namespace)) => Some(namespace.to_owned()),
            ResolveResult::Unbound => None,
            ResolveResult::Unknown(_) => return Err(XmlFault::Malformed),
        };
        Ok((namespace, local.as_ref().to_owned()))
    }

    fn close(&mut self) -> Result<(), XmlFault> {
        let Open { namespace, name, attributes, children, text } =
            self.open.pop().ok_or(XmlFault::Malformed)?;
        self.namespaces.pop();
        let element = Element { namespace, name, attributes, children, text: text.into() };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn add(&mut self, text: &str) -> Result<(), XmlFault> {
        match self.open.last_mut() {
            Some(open) => open.text.push_str(text),
            None if text.trim_matches(SPACE).is_empty() => {}
            None => return Err(XmlFault::Malformed),
        }
        Ok(())
    }

    fn inside(&mut self) -> Result<&mut Open, XmlFault> {
        self.open.last_mut().ok_or(XmlFault::Malformed)
    }

    fn finish(self) -> Result<Element, XmlFault> {
        self.root.ok_or(XmlFault::Malformed)
    }
}

impl Open {
    fn refer(&mut self, reference: &BytesRef<'_>) -> Result<(), XmlFault> {
        if reference.is_char_ref() {
            let letter = reference.resolve_char_ref().ok().flatten();
            self.text.push(letter.filter(|l| names::is_char(*l)).ok_or(XmlFault::Malformed)?);
        } else {
            self.text.push_str(resolve_xml_entity(reference).ok_or(XmlFault::Entity)?);
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Element,
    Attribute,
}

fn decode(bytes: &[u8]) -> Result<&str, XmlFault> {
    // By a NUL this near the start, UTF-16 and UTF-32 show; by its mark, UTF-8 does not.
    if bytes.iter().take(4).any(|byte| *byte == 0) {
        return Err(XmlFault::Encoding);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| XmlFault::Encoding)?;
    if text.trim_start_matches('\u{feff}').trim_matches(SPACE).is_empty() {
        return Err(XmlFault::Empty);
    }
    if text.chars().all(names::is_char) { Ok(text) } else { Err(XmlFault::Malformed) }
}

fn check(declaration: &BytesDecl<'_>) -> Result<(), XmlFault> {
    let tag = BytesStart::from_content(declaration.as_ref(), "xml".len());
    let values = values(&tag)?;
    if values.first().is_none_or(|(name, _)| name.as_ref() != "version") {
        return Err(XmlFault::Malformed);
    }
    let mut order = ["version", "encoding", "standalone"].iter();
    for (name, value) in &values {
        let good = match order.find(|expected| **expected == name.as_ref()) {
            Some(&"version") => value == "1.0",
            Some(&"encoding") if value.eq_ignore_ascii_case("utf-8") => true,
            Some(&"encoding") => return Err(XmlFault::Encoding),
            Some(_) => value == "yes" || value == "no",
            None => false,
        };
        if !good {
            return Err(XmlFault::Malformed);
        }
    }
    Ok(())
}

/// The attributes of a tag whose names and values are well-formed, no name twice.
fn values<'a>(tag: &'a BytesStart<'_>) -> Result<Vec<(QName<'a>, Cow<'a, str>)>, XmlFault> {
    if !names::is_qualified(tag.name()) || !names::are_spaced(tag.attributes_raw()) {
        return Err(XmlFault::Malformed);
    }
    let mut values = Vec::new();
    for attribute in tag.attributes() {
        if values.len() == MOST_ATTRIBUTES {
            return Err(XmlFault::TooManyAttributes);
        }
        let attribute = attribute.map_err(|_| XmlFault::Malformed)?;
        if !names::is_qualified(attribute.key) || attribute.value.contains('<') {
            return Err(XmlFault::Malformed);
        }
        let value =
            attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|error| fault(&error))?;
        if !value.chars().all(names::is_char) {
            return Err(XmlFault::Malformed);
        }
        values.push((attribute.key, value));
    }
    Ok(values)
}

fn fault(error: &Error) -> XmlFault {
    let doctype = matches!(
        error,
        Error::Syntax(SyntaxError::UnclosedDoctype)
            | Error::IllFormed(IllFormedError::MissingDoctypeName)
    );
    if doctype {
        XmlFault::Doctype
    } else if matches!(error, Error::Escape(EscapeError::UnrecognizedEntity(_, _))) {
        XmlFault::Entity
    } else {
        XmlFault::Malformed
    }
}
