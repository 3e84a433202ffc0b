//! The `Content-Type` header (RFC 9110, section 8.3).

use http::{HeaderMap, header};
use mime::Mime;

/// What a body says that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    /// The type and subtype, in lower case: `application/json`.
    pub essence: String,
    /// The parameter `charset`, in lower case and without quotes.
    pub charset: Option<String>,
}

/// Why the header says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentTypeFault {
    /// There is none, or nothing in it.
    #[error("there is no content type")]
    Absent,
    /// It comes twice.
    #[error("there is more than one content type")]
    Repeated,
    /// It is no media type, or has an empty charset or two.
    #[error("the content type is malformed")]
    Malformed,
}

impl ContentType {
    /// Reads the header.
    ///
    /// # Errors
    /// The [`ContentTypeFault`] of it.
    pub fn parse(headers: &HeaderMap) -> Result<Self, ContentTypeFault> {
        let mut values = headers.get_all(header::CONTENT_TYPE).into_iter();
        let value = values.next().ok_or(ContentTypeFault::Absent)?;
        if values.next().is_some() {
            return Err(ContentTypeFault::Repeated);
        }
        let value = value.to_str().map_err(|_| ContentTypeFault::Malformed)?.trim();
        if value.is_empty() {
            return Err(ContentTypeFault::Absent);
        }
        let media: Mime = value.parse().map_err(|_| ContentTypeFault::Malformed)?;
        let mut charsets = media.params().filter(|(name, _)| *name == mime::CHARSET);
        let charset = charsets.next().map(|(_, charset)| charset.as_str().to_ascii_lowercase());
        if charset.as_deref() == Some("") || charsets.next().is_some() {
            return Err(ContentTypeFault::Malformed);
        }
        Ok(Self { essence: media.essence_str().to_ascii_lowercase(), charset })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[&[u8]]) -> Result<(String, Option<String>), ContentTypeFault> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::CONTENT_TYPE, HeaderValue::from_bytes(line).unwrap());
        }
        ContentType::parse(&headers).map(|ContentType { essence, charset }| (essence, charset))
    }

    #[test]
    fn reads_the_type_and_the_charset_without_regard_to_case() {
        for (line, essence, charset) in [
            ("application/json", "application/json", None),
            ("Application/JSON;Charset=UTF-8", "application/json", Some("utf-8")),
            ("text/xml; charset=\"utf-8\"", "text/xml", Some("utf-8")),
            ("text/xml; a=b; charset=\"UTF-8\"; c=d", "text/xml", Some("utf-8")),
            ("text/xml;charset=utf-8;a=b", "text/xml", Some("utf-8")),
            (
                "application/soap+xml; charset=iso-8859-1",
                "application/soap+xml",
                Some("iso-8859-1"),
            ),
            (" text/plain ", "text/plain", None),
        ] {
            let read = read(&[line.as_bytes()]).unwrap();
            assert_eq!((read.0.as_str(), read.1.as_deref()), (essence, charset), "{line}");
        }
    }

    #[test]
    fn names_each_fault() {
        assert_eq!(read(&[]), Err(ContentTypeFault::Absent));
        assert_eq!(read(&[b""]), Err(ContentTypeFault::Absent));
        assert_eq!(read(&[b"a/b", b"a/b"]), Err(ContentTypeFault::Repeated));
        let malformed: [&[u8]; 10] = [
            b"json",
            b"/json",
            b"application/json, text/xml",
            b"application/json; charset",
            b"application/json; charset=",
            b"application/json; charset=\"utf-8",
            b"application/json; charset=utf-8; charset=utf-7",
            b"application/json; charset=utf-8; Charset=\"utf-7\"",
            b"application/json; charset=\xff",
            b"application/\x80",
        ];
        for line in malformed {
            assert_eq!(read(&[line]), Err(ContentTypeFault::Malformed), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn judges_any_header(line in proptest::collection::vec(32_u8..=255, 0..200)) {
            if !line.contains(&127) {
                let _ = read(&[&line]);
            }
        }

        #[test]
        fn reads_what_was_written(
            essence in "[a-z][a-z0-9.+-]{0,9}/[a-z0-9][a-z0-9.-]{0,9}",
            charset in proptest::option::of("[a-z0-9][a-z0-9-]{0,9}"),
        ) {
            let line = match &charset {
                Some(charset) => format!("{essence}; charset=\"{charset}\""),
                None => essence.clone(),
            };
            prop_assert_eq!(read(&[line.as_bytes()]), Ok((essence, charset)));
        }
    }
}
