//! A dialect's table, as its page has it.

use std::path::Path;

use regex::Regex;

use crate::support::http::Exchange;

/// The rows and facts of one dialect's page.
pub(crate) struct Table {
    rows: Vec<Row>,
    facts: Vec<String>,
}

/// One row: what a request must be answered with.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) status: u16,
    /// One for each kind of request that the row tells of.
    bodies: Vec<String>,
}

/// What differs from call to call, as the pages write it, and its form.
const PLACEHOLDERS: [(&str, &str); 12] = [
    ("<40 hex>", "[0-9a-f]{40}"),
    ("<32 chars>", "[0-9a-z]{32}"),
    ("<jwt>", r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"),
    ("<tkd>", "tkd_[A-Za-z0-9]{43}"),
    ("<api id>", "api_[A-Za-z0-9_-]{21}"),
    ("<keys>", r"\{[^{}]+\}(,\{[^{}]+\})*"),
    ("<sentence>", r#"[A-Z`'][^"]*\."#),
    ("<parameter>", r#"[^"]+"#),
    (r#""retry_after":N"#, r#""retry_after":[1-9]\d*"#),
    ("available in N seconds", r"available in (1 second|[2-9] seconds|\d\d+ seconds)"),
    ("again in N seconds", r"again in [1-9]\d* seconds"),
    (r#"Method \"GET\""#, r#"Method \\"[A-Z]+\\""#),
];

/// Points in time, of which each page has its own form.
const TIMES: [(&str, &str); 3] = [
    (
        r"\d{4}\\-\d\d\\-\d\d \d\d:\d\d:\d\d\\\.\d{6}\\\+00:00",
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00",
    ),
    (r"\d{4}\\-\d\d\\-\d\dT\d\d:\d\d:\d\d\\\.\d{3}Z", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
    (r"\d{4}\\-\d\d\\-\d\dT\d\d:\d\d:\d\dZ", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
];

impl Table {
    /// Reads `docs/dialects/<dialect>.md`.
    pub(crate) fn read(dialect: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = root.join("docs/dialects").join(format!("{dialect}.md"));
        let page = std::fs::read_to_string(&path).expect("the page of the dialect");
        let rows = page.lines().filter_map(row).collect();
        let fact = Regex::new(r"^- \*\*(F\d+)\*\* ").expect("a pattern");
        let facts = page.lines().filter_map(|line| Some(fact.captures(line)?[1].to_owned()));
        Self { rows, facts: facts.collect() }
    }

    /// All ids, of rows and facts.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.rows.iter().map(|row| row.id.clone()).chain(self.facts.iter().cloned()).collect()
    }

    /// The row of this id; one whose body is "as A1" has the body of that.
    pub(crate) fn row(&self, id: &str) -> Row {
        let row = self.rows.iter().find(|row| row.id == id);
        let mut row = row.unwrap_or_else(|| panic!("no row {id}")).clone();
        let [body] = &row.bodies[..] else { return row };
        let other = body.strip_prefix("as ").and_then(|rest| rest.split('–').next());
        if let Some(other) = other.map(str::to_owned) {
            row.bodies = self.row(&other).bodies;
        }
        row
    }
}

/// `| A1 | request | 201, … | body | from |`
fn row(line: &str) -> Option<Row> {
    let cells: Vec<_> = line.strip_prefix("| ")?.split(" | ").map(str::trim).collect();
    let [id, _request, status, body, ..] = cells[..] else { return None };
    let digits: String = status.chars().take_while(char::is_ascii_digit).collect();
    // `first` / `second`, where a row tells of more than one; what follows is for people.
    let quoted = |part: &str| Some(part.strip_prefix('`')?.split_once('`')?.0.to_owned());
    let mut bodies: Vec<_> = body.split(" / ").map_while(quoted).collect();
    if bodies.is_empty() {
        bodies = vec![body.to_owned()];
    }
    Some(Row { id: id.to_owned(), status: digits.parse().ok()?, bodies })
}

impl Row {
    /// The row with the one of its bodies that holds these words.
    pub(crate) fn with(mut self, words: &str) -> Self {
        self.bodies.retain(|body| body.contains(words));
        assert_eq!(self.bodies.len(), 1, "{}: {words}: {:?}", self.id, self.bodies);
        self
    }

    /// Holds an answer to the row: the status, and the body byte by byte but for what differs
    /// from call to call, of which the form is held.
    pub(crate) fn holds(&self, exchange: &Exchange) {
        assert_eq!(exchange.status, self.status, "{}: {exchange}", self.id);
        let [body] = &self.bodies[..] else {
            panic!("{}: which of {:?}? {exchange}", self.id, self.bodies)
        };
        if body.starts_with("empty") {
            assert_eq!(exchange.body, "", "{}: {exchange}", self.id);
            return;
        }
        let pattern = pattern(body);
        assert!(pattern.is_match(&exchange.body), "{}: {pattern} {exchange}", self.id);
    }

    /// Holds the headers to their snapshot.
    pub(crate) fn holds_headers(&self, dialect: &str, exchange: &Exchange) {
        insta::assert_snapshot!(format!("{dialect}_{}", self.id), exchange.headers());
    }
}

fn pattern(body: &str) -> Regex {
    let mut pattern = regex::escape(body);
    for (written, form) in TIMES {
        let written = Regex::new(written).expect("a pattern");
        pattern = written.replace_all(&pattern, regex::NoExpand(form)).into_owned();
    }
    for (written, form) in PLACEHOLDERS {
        pattern = pattern.replace(&regex::escape(written), form);
    }
    Regex::new(&format!("^{pattern}$")).expect("a pattern")
}

/// Two tests for each row and fact, named after it, and one that none is missing: the shim is in
/// the server's process, and `apart` in one of its own.
macro_rules! rows {
    ($dialect:literal; $($id:ident |$row:ident| $body:block)*) => {
        #[expect(non_snake_case, reason = "named after the rows")]
        mod replay {
            use super::*;
            $(
                pub(super) async fn $id() {
                    let $row = |id: &str| $crate::rest::table::Table::read($dialect).row(id);
                    // A fact may need no row.
                    let _ = &$row;
                    $body
                }
            )*
        }

        $(
            #[tokio::test]
            #[expect(non_snake_case, reason = "named after the row")]
            async fn $id() {
                replay::$id().await;
            }
        )*

        mod apart {
            $(
                #[tokio::test]
                #[expect(non_snake_case, reason = "named after the row")]
                async fn $id() {
                    $crate::support::apart::apart(super::replay::$id()).await;
                }
            )*
        }

        #[test]
        fn has_a_test_for_each_row_and_fact_and_no_other() {
            let mut tested = vec![$(stringify!($id).to_owned()),*];
            let mut written = $crate::rest::table::Table::read($dialect).ids();
            tested.sort();
            written.sort();
            assert_eq!(tested, written);
        }
    };
}

pub(crate) use rows;
