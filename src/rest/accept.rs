//! The `Accept` header (RFC 9110, section 12.5.1), as far as the dialects go by it.

use http::{HeaderMap, header};

/// What the client can read. A request without the header reads everything.
#[derive(Debug)]
pub(super) struct Accept(Option<Vec<MediaRange>>);

/// Why JSON can't be the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotAcceptable {
    /// JSON is not among what the client reads.
    Json,
    /// JSON is, but in none of our versions.
    Version,
}

#[derive(Debug)]
struct MediaRange {
    coverage: Coverage,
    version: Option<String>,
    refused: bool,
}

// In the order of precedence: a later one beats those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Coverage {
    Nothing,
    Everything,
    Application,
    Json,
}

impl Accept {
    /// Reads the header. What is malformed in it admits nothing.
    pub(super) fn parse(headers: &HeaderMap) -> Self {
        let mut ranges = Vec::new();
        for line in headers.get_all(header::ACCEPT) {
            let line = String::from_utf8_lossy(line.as_bytes());
            ranges.extend(split(&line, ',').map(MediaRange::parse));
        }
        Self((!ranges.is_empty()).then_some(ranges))
    }

    /// Judges whether JSON in one of `versions` can be the answer. Where ranges name a version,
    /// one of them must be ours, whatever the other ranges admit.
    ///
    /// # Errors
    /// [`NotAcceptable`] says why it can't.
    pub(super) fn admits_json(&self, versions: &[&str]) -> Result<(), NotAcceptable> {
        let Some(ranges) = &self.0 else { return Ok(()) };
        let json = || ranges.iter().filter(|range| range.coverage != Coverage::Nothing);
        let mut named =
            json().filter(|r| !r.refused).filter_map(|r| r.version.as_deref()).peekable();
        if named.peek().is_some() {
            let ours = named.any(|version| versions.contains(&version));
            return if ours { Ok(()) } else { Err(NotAcceptable::Version) };
        }
        let open = || json().filter(|range| range.version.is_none());
        let closest = open().map(|range| range.coverage).max();
        let admitted = open().any(|range| Some(range.coverage) == closest && !range.refused);
        if admitted { Ok(()) } else { Err(NotAcceptable::Json) }
    }
}

impl MediaRange {
    fn parse(text: &str) -> Self {
        let mut parts = split(text, ';');
        let coverage = Coverage::of(parts.next().unwrap_or_default());
        let mut range = Self { coverage, version: None, refused: false };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let (name, value) = (name.trim_end(), unquoted(value.trim_start()));
            if name.eq_ignore_ascii_case("version") {
                range.version = Some(value);
            } else if name.eq_ignore_ascii_case("q") {
                range.refused = is_zero(&value);
            }
        }
        range
    }
}

impl Coverage {
    fn of(media: &str) -> Self {
        match media.to_ascii_lowercase().as_str() {
            "application/json" => Self::Json,
            "application/*" => Self::Application,
            "*/*" => Self::Everything,
            _ => Self::Nothing,
        }
    }
}

/// The trimmed parts between separators that stand in no quotes; empty ones are left out.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut after_backslash = false;
    let parts = text.split(move |letter| {
        let backslash = quoted && !after_backslash && letter == '\\';
        if letter == '"' && !after_backslash {
            quoted = !quoted;
        }
        after_backslash = backslash;
        letter == separator && !quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or(value).replace('\\', "")
}

fn is_zero(weight: &str) -> bool {
    weight.starts_with('0') && weight.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn judge(lines: &[&str]) -> Result<(), NotAcceptable> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT, HeaderValue::from_str(line).unwrap());
        }
        Accept::parse(&headers).admits_json(&["1", "2", "3"])
    }

    #[test]
    fn admits_json_where_a_range_covers_it() {
        for line in [
            "",
            "*/*",
            "application/*",
            "application/json",
            "Application/JSON; Version=1",
            "application/json; version=3",
            "application/json;version=2",
            "application/json;version=\"3\"",
            "application/json; version = 3 ; q=0.1",
            "application/json; charset=utf-8",
            "text/html, application/json;q=0.9, */*;q=0.8",
            "text/html;q=0, */*",
            "text/x;note=\"a, b; c\\\"\", application/json; version=3",
            "application/json;q=0, application/json;version=3",
            "application/json;version=9;q=0, */*",
            "application/json;version=9, application/json;version=3",
        ] {
            assert_eq!(judge(&[line]), Ok(()), "{line}");
        }
        assert_eq!(judge(&[]), Ok(()));
        assert_eq!(judge(&["text/html", "application/json"]), Ok(()));
    }

    #[test]
    fn refuses_a_version_that_is_not_ours() {
        for line in [
            "application/json; version=4",
            "application/json;version=0",
            "application/json; version=",
            "application/json; version=3.0",
            "application/json; version=\"three\"",
            "application/json; version=4, */*",
            "application/*; version=4",
        ] {
            assert_eq!(judge(&[line]), Err(NotAcceptable::Version), "{line}");
        }
    }

    #[test]
    fn refuses_where_no_range_covers_json() {
        for line in [
            "text/html",
            "text/*; version=3",
            "application/xml, text/json",
            "application/json;q=0",
            "application/json; q=0.000, */*",
            "application/json;version=3;q=0",
            "application/*;q=0, */*;q=0",
            "json",
            "application/json2",
            "\"application/json",
            "text/x;note=\"a, application/json",
        ] {
            assert_eq!(judge(&[line]), Err(NotAcceptable::Json), "{line}");
        }
    }
}
