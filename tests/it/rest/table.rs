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
    body: String,
}

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
        let other = row.body.strip_prefix("as ").and_then(|rest| rest.split('–').next());
        if let Some(other) = other.map(str::to_owned) {
            row.body = self.row(&other).body;
        }
        row
    }
}

/// `| A1 | request | 201, … | body | from |`
fn row(line: &str) -> Option<Row> {
    let cells: Vec<_> = line.strip_prefix("| ")?.split(" | ").map(str::trim).collect();
    let [id, _request, status, body, ..] = cells[..] else { return None };
    let digits: String = status.chars().take_while(char::is_ascii_digit).collect();
    let body = match body.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
        Some((body, _)) => body.to_owned(),
        None => body.to_owned(),
    };
    Some(Row { id: id.to_owned(), status: digits.parse().ok()?, body })
}

impl Row {
    /// Holds an answer to the row: the status, and the body byte by byte but for what differs
    /// from call to call, of which the form is held.
    pub(crate) fn holds(&self, exchange: &Exchange) {
        assert_eq!(exchange.status, self.status, "{}: {exchange}", self.id);
        if self.body.starts_with("empty") {
            assert_eq!(exchange.body, "", "{}: {exchange}", self.id);
            return;
        }
        let pattern = pattern(&self.body);
        assert!(pattern.is_match(&exchange.body), "{}: {pattern} {exchange}", self.id);
    }

    /// Holds the headers to their snapshot.
    pub(crate) fn holds_headers(&self, dialect: &str, exchange: &Exchange) {
        insta::assert_snapshot!(format!("{dialect}_{}", self.id), exchange.headers());
    }
}

fn pattern(body: &str) -> Regex {
    let escaped = regex::escape(body);
    let time =
        Regex::new(r"\d{4}\\-\d\d\\-\d\d \d\d:\d\d:\d\d\\\.\d{6}\\\+00:00").expect("a pattern");
    let pattern = time.replace_all(&escaped, r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00");
    let pattern = pattern
        .replace("<40 hex>", "[0-9a-f]{40}")
        .replace("in N seconds", r"in (1 second|[2-9] seconds|\d\d+ seconds)")
        .replace(r#"Method \\"GET\\""#, r#"Method \\"[A-Z]+\\""#);
    Regex::new(&format!("^{pattern}$")).expect("a pattern")
}

/// A test for each row and fact, named after it, and one that none is missing.
macro_rules! rows {
    ($dialect:literal; $($id:ident |$row:ident| $body:block)*) => {
        $(
            #[tokio::test]
            #[expect(non_snake_case, reason = "named after the row")]
            async fn $id() {
                let $row = |id: &str| $crate::rest::table::Table::read($dialect).row(id);
                // A fact may need no row.
                let _ = &$row;
                $body
            }
        )*

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
