//! The `Accept` header (RFC 9110, section 12.5.1), as far as the dialects go by it.

use std::cmp::Reverse;

use http::{HeaderMap, header};

/// What the client can read. A request without the header reads everything.
#[derive(Debug)]
pub struct Accept(Option<Vec<MediaRange>>);

/// Why JSON can't be the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAcceptable {
    /// JSON is not among what the client reads.
    #[error("the client does not read JSON")]
    Json,
    /// JSON is, but in none of our versions.
    #[error("the client reads JSON in none of our versions")]
    Version,
}

#[derive(Debug)]
struct MediaRange {
    // In lower case, without parameters.
    essence: String,
    version: Option<String>,
    // In thousandths, cut off: what is less than one weighs nothing, but is not refused.
    weight: u16,
    refused: bool,
}

// How well a media type fits: what counts most comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    weight: u16,
    coverage: Coverage,
    place: Reverse<usize>,
}

// In the order of precedence: a later one beats those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Coverage {
    Nothing,
    Everything,
    Type,
    Exact,
}

impl Accept {
    /// Reads the header. What is malformed in it admits nothing.
    #[must_use]
    pub fn parse(headers: &HeaderMap) -> Self {
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
    pub fn admits_json(&self, versions: &[&str]) -> Result<(), NotAcceptable> {
        const JSON: &str = "application/json";
        let Some(ranges) = &self.0 else { return Ok(()) };
        let json = || ranges.iter().filter(|range| range.coverage(JSON) != Coverage::Nothing);
        let mut named =
            json().filter(|r| !r.refused).filter_map(|r| r.version.as_deref()).peekable();
        if named.peek().is_some() {
            let ours = named.any(|version| versions.contains(&version));
            return if ours { Ok(()) } else { Err(NotAcceptable::Version) };
        }
        let open = || json().filter(|range| range.version.is_none());
        let closest = open().map(|range| range.coverage(JSON)).max();
        let admitted = open().any(|range| Some(range.coverage(JSON)) == closest && !range.refused);
        if admitted { Ok(()) } else { Err(NotAcceptable::Json) }
    }

    /// Chooses among the media types that can be written: `first` and `others`, in lower case and
    /// without parameters. The greatest weight wins; then the range that fits closest, then the
    /// one that the client wrote first, then our order. It is `first` as well where the client
    /// reads none of them: an answer that it can't read tells more than none.
    #[must_use]
    pub fn prefers<'a>(&self, first: &'a str, others: &[&'a str]) -> &'a str {
        let offered = std::iter::once(first).chain(others.iter().copied());
        let fits: Vec<_> = offered.filter_map(|media| Some((self.fit(media)?, media))).collect();
        // Backwards, because the last of equals is taken.
        fits.iter().rev().max_by_key(|(fit, _)| *fit).map_or(first, |(_, media)| media)
    }

    // The range that fits closest speaks for the media type.
    fn fit(&self, media: &str) -> Option<Fit> {
        let ranges = self.0.iter().flatten().enumerate();
        let fits = ranges.map(|(place, range)| (range.coverage(media), Reverse(place), range));
        let fits = fits.filter(|(coverage, _, _)| *coverage != Coverage::Nothing);
        let (coverage, place, range) =
            fits.max_by_key(|(coverage, place, _)| (*coverage, *place))?;
        (!range.refused).then_some(Fit { weight: range.weight, coverage, place })
    }
}

impl MediaRange {
    fn parse(text: &str) -> Self {
        let mut parts = split(text, ';');
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut range = Self { essence, version: None, weight: 1000, refused: false };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let (name, value) = (name.trim_end(), unquoted(value.trim_start()));
            if name.eq_ignore_ascii_case("version") {
                range.version = Some(value);
            } else if name.eq_ignore_ascii_case("q") {
                range.refused = is_zero(&value);
                range.weight = weight(&value);
            }
        }
        range
    }

    fn coverage(&self, media: &str) -> Coverage {
        if self.essence == media {
            return Coverage::Exact;
        }
        match self.essence.strip_suffix("/*") {
            Some("*") => Coverage::Everything,
            Some(kind) if media.split('/').next() == Some(kind) => Coverage::Type,
            Some(_) | None => Coverage::Nothing,
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

// What is no weight weighs as much as none.
fn weight(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    if whole == "0" { digits.parse().unwrap_or(1000) } else { 1000 }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

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

    const WRITTEN: [&str; 2] = ["application/xml", "text/xml"];

    fn prefer(lines: &[&str]) -> &'static str {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::ACCEPT, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        Accept::parse(&headers).prefers("application/json", &WRITTEN)
    }

    #[test]
    fn prefers_by_weight_then_fit_then_the_order_of_the_client_then_ours() {
        for (line, media) in [
            ("application/json;q=0.2, application/xml;q=0.3", "application/xml"),
            ("*/*;q=0.9, text/xml;q=0.8", "application/json"),
            ("*/*;q=0.8, text/xml;q=0.9", "text/xml"),
            ("*/*, text/xml", "text/xml"),
            ("application/*, text/xml", "text/xml"),
            ("text/xml, application/xml", "text/xml"),
            ("application/xml, application/json", "application/xml"),
            ("APPLICATION/XML; Q=0.5, application/json; q=\"0.4\"", "application/xml"),
            ("application/*;q=0.5, application/json;q=0.1", "application/xml"),
            ("application/json;q=0, */*", "application/xml"),
            ("text/*, */*;q=0.1", "text/xml"),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/xml"),
            ("application/xml;q=x, application/json;q=0.9", "application/xml"),
            ("application/xml;q=9, application/json", "application/xml"),
        ] {
            assert_eq!(prefer(&[line]), media, "{line}");
        }
        assert_eq!(prefer(&["text/html", "text/xml"]), "text/xml");
    }

    #[test]
    fn prefers_the_first_where_the_client_leaves_it_open_or_reads_none() {
        for line in [
            "",
            "*/*",
            "application/*",
            "application/*, */*",
            "application/json",
            "text/html",
            "image/*",
            "application/xml;q=0",
            "*/*;q=0",
            "xml",
            "*",
            "/*",
            "\"application/xml",
        ] {
            assert_eq!(prefer(&[line]), "application/json", "{line}");
        }
        assert_eq!(prefer(&[]), "application/json");
    }

    proptest! {
        #[test]
        fn judges_any_header(line in "[ -~\\x80-\\xff]{0,200}") {
            prefer(&[&line]);
        }

        #[test]
        fn prefers_what_weighs_most(weights in [1..1000_u32, 1..1000_u32, 1..1000_u32]) {
            let media = ["application/json", WRITTEN[0], WRITTEN[1]];
            let most = media.iter().zip(weights).rev().max_by_key(|(_, weight)| *weight).unwrap().0;
            let ranges = media.iter().zip(weights);
            let line: Vec<_> = ranges.map(|(m, w)| format!("{m};q=0.{w:03}")).collect();
            prop_assert_eq!(prefer(&[&line.join(", ")]), *most);
        }
    }
}
