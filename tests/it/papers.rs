//! The papers name what is there.

use std::path::{Path, PathBuf};

/// Folders at the root of which the papers speak.
const FOLDERS: [&str; 8] =
    [".ci/", "deploy/", "docs/", "migrations/", "proto/", "scripts/", "src/", "tests/"];

/// Finds the paths in backticks; a bare `name.rs` is of the folder of the path before it.
fn paths(paper: &str) -> Vec<PathBuf> {
    let mut folder = PathBuf::new();
    let mut paths = Vec::new();
    // Between the first backtick and the second, the third and the fourth …
    for word in paper.split('`').skip(1).step_by(2) {
        if FOLDERS.iter().any(|root| word.starts_with(root)) && !word.contains(char::is_whitespace)
        {
            folder = Path::new(word).parent().map(Path::to_owned).unwrap_or_default();
            paths.push(PathBuf::from(word));
        } else if Path::new(word).extension().is_some_and(|end| end == "rs") && !word.contains('/')
        {
            paths.push(folder.join(word));
        }
    }
    paths
}

#[test]
fn name_only_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in [
        "README.md",
        "CONTRIBUTING.md",
        "docs/ARCHITECTURE.md",
        "docs/OPERATIONS.md",
        "docs/SECURITY.md",
    ] {
        let paper = std::fs::read_to_string(root.join(name)).unwrap();
        // Fences would shift the pairs.
        let paths = paths(&paper.replace("```", ""));
        assert!(!paths.is_empty(), "{name}");
        for path in paths {
            assert!(root.join(&path).exists(), "{name} names {}", path.display());
        }
    }
}

/// All of the sources in a folder.
fn sources(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.fold(String::new(), |text, path| {
        text + &if path.is_dir() { sources(&path) } else { std::fs::read_to_string(path).unwrap() }
    })
}

#[test]
fn name_only_metrics_and_lines_of_the_log_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = sources(&root.join("src"));
    for name in ["docs/REVOCATION.md", "docs/OPERATIONS.md"] {
        let paper = std::fs::read_to_string(root.join(name)).unwrap().replace("```", "");
        let words: Vec<_> = paper.split('`').skip(1).step_by(2).collect();
        let metrics = words.iter().filter(|word| word.starts_with("tokend_"));
        let metrics: Vec<_> = metrics.filter_map(|word| word.split('{').next()).collect();
        assert!(!metrics.is_empty(), "{name}");
        for metric in metrics {
            assert!(source.contains(&format!("\"{metric}\"")), "{name} names {metric}");
        }
        let (_, log) = paper.split_once("\nIn the log:").unwrap_or_default();
        let log = log.split("\n\n").next().unwrap_or_default();
        for line in log.split('`').skip(1).step_by(2).filter(|line| line.contains(' ')) {
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(source.contains(&line), "{name} quotes {line}");
        }
    }
}

#[test]
fn describe_what_the_shim_serves() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let kept = std::fs::read_to_string(root.join("docs/openapi.json")).unwrap();
    let served = tokend::rest::describe(&tokend::rest::Settings::default()).unwrap();
    assert!(kept == served, "docs/openapi.json is stale: tokend openapi > docs/openapi.json");
}
