//! `docs/SECURITY.md` names a test for each attack, and each of these tests is there.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;

/// How many attacks there are: A01 and on.
const ATTACKS: usize = 50;

/// A row of the table.
struct Row {
    id: String,
    told: String,
    tests: Vec<String>,
}

/// Reads the rows: a number, what is tried, and the names of tests between backticks.
fn rows(paper: &str) -> Vec<Row> {
    let id = Regex::new(r"^A\d\d$").unwrap();
    let rows = paper.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let [name, told, tests] = cells[..] else { return None };
        id.is_match(name).then(|| Row {
            id: name.to_owned(),
            told: told.to_owned(),
            tests: tests.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
        })
    });
    rows.collect()
}

/// Where a module may stand: `a/b.rs` and `a/b/mod.rs`.
fn read(root: &Path, module: &[&str]) -> Option<String> {
    let path = module.iter().fold(root.to_owned(), |path, part| path.join(part));
    let found = [path.with_extension("rs"), path.join("mod.rs")];
    found.iter().find_map(|path| std::fs::read_to_string(path).ok())
}

/// Whether a module of these sources has a test of this name, in its file or in an inline module
/// of it.
fn has_test(root: &Path, module: &[&str], name: &str) -> bool {
    // An attribute that makes a test, others, and the function.
    let test = format!(r"#\[(tokio::)?test(\([^\]]*\))?\]\s*(#\[[^\]]*\]\s*)*(async )?fn {name}\(");
    let test = Regex::new(&test).unwrap();
    if let Some(source) = read(root, module) {
        return test.is_match(&source);
    }
    let Some((inline, file)) = module.split_last() else { return false };
    let opens = Regex::new(&format!(r"\bmod {inline} \{{")).unwrap();
    read(root, file).is_some_and(|source| opens.is_match(&source) && test.is_match(&source))
}

/// What is wrong with a name of a test.
fn fault(root: &Path, test: &str) -> Option<String> {
    let parts: Vec<_> = test.split("::").collect();
    let exists = match parts[..] {
        ["it", ref module @ .., name] => has_test(&root.join("tests/it"), module, name),
        // Tests of a file's own are beside its code, in an inline module that goes without saying.
        ["lib", ref module @ .., name] => has_test(&root.join("src"), module, name),
        ["fuzz", name] => root.join(format!("fuzz/fuzz_targets/{name}.rs")).is_file(),
        ["bench", name] => read(&root.join("benches/load/scenario"), &[name]).is_some(),
        _ => false,
    };
    (!exists).then(|| format!("there is no test {test}"))
}

/// All that is wrong with a paper.
fn faults(root: &Path, paper: &str) -> Vec<String> {
    let rows = rows(paper);
    let due: Vec<_> = (1..=ATTACKS).map(|number| format!("A{number:02}")).collect();
    let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    let mut faults = Vec::new();
    if ids != due {
        let [named, due] = [&ids, &due].map(|ids| ids.iter().collect::<BTreeSet<_>>());
        let differ: Vec<_> = named.symmetric_difference(&due).collect();
        faults.push(format!("a row is missing, is there twice or is out of order: {differ:?}"));
    }
    for Row { id, told, tests } in &rows {
        if told.is_empty() || tests.is_empty() {
            faults.push(format!("{id} tells nothing or names no test"));
        }
        faults.extend(tests.iter().filter_map(|test| fault(root, test)));
    }
    faults
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn names_a_test_that_exists_for_each_attack() {
    let paper = std::fs::read_to_string(root().join("docs/SECURITY.md")).unwrap();
    assert_eq!(faults(root(), &paper), [""; 0]);
}

#[test]
fn sees_what_is_missing() {
    let paper = std::fs::read_to_string(root().join("docs/SECURITY.md")).unwrap();
    let row = paper.lines().find(|line| line.starts_with("| A07 |")).unwrap();
    let name = "gives_two_hundred_racing_refreshes_one_successor";
    for (case, broken) in [
        ("a row less", paper.replace(row, "")),
        ("a row twice", paper.replace(row, &format!("{row}\n{row}"))),
        ("no test", paper.replace(row, "| A07 | told | |")),
        ("no such test", paper.replace(name, "gives_two_hundred_racing_refreshes_two")),
        ("no such module", paper.replace("it::refresh::gives", "it::refreshes::gives")),
        (
            "no test, but a function",
            paper.replace(&format!("it::refresh::{name}"), "it::refresh::killed"),
        ),
        ("no such target", paper.replace("`fuzz::xml`", "`fuzz::sgml`")),
    ] {
        assert_ne!(broken, paper, "{case}");
        assert!(!faults(root(), &broken).is_empty(), "{case}");
    }
}
