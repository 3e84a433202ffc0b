//! README.md, followed to the letter: each `sh` block in turn in one shell, on a server that was
//! started as it says. What a block writes is compared with what is shown behind it; `…` stands
//! for anything.

use std::process::Command;

use super::{Place, Running, shell};

const README: &str = include_str!("../../../README.md");

/// What stands between the outputs of two blocks.
const MARK: &str = "=== the next block ===";

/// The addresses that the README uses, by their listener.
const ADDRESSES: [(&str, &str); 3] =
    [("grpc", "127.0.0.1:50051"), ("rest", "127.0.0.1:8080"), ("management", "127.0.0.1:9090")];

/// What a machine without `grpcurl` has in its place: the words before the address and the method
/// mean the same to both.
const GRPCURL: &str = r#"
grpcurl() {
    test "$1" = -plaintext
    shift
    left=$(($# - 2))
    while [ "$left" -gt 0 ]; do
        set -- "$@" "$1"
        shift
        left=$((left - 1))
    done
    called="http://$1/$2"
    shift 2
    buf curl --protocol grpc --http2-prior-knowledge "$@" "$called"
}
"#;

/// A block of commands, and what is shown behind it.
#[derive(Default)]
struct Block {
    script: String,
    shown: Option<Shown>,
}

enum Shown {
    /// Compared without its white space, for two programs may lay it out differently.
    Json(String),
    Text(String),
}

impl Shown {
    fn is_met_by(&self, written: &str) -> bool {
        let (shown, written) = match self {
            Self::Json(shown) => (packed(shown), packed(written)),
            Self::Text(shown) => (shown.trim().to_owned(), written.trim().to_owned()),
        };
        is_met(&shown, &written)
    }

    fn text(&self) -> &str {
        match self {
            Self::Json(text) | Self::Text(text) => text,
        }
    }
}

fn packed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Whether the text is as the pattern, in which `…` stands for anything.
fn is_met(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<_> = rest.split('…').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, behind)) = text.split_once(part) else { return false };
        text = behind;
    }
    text.ends_with(end)
}

/// Finds the blocks in their order.
fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = README.lines().peekable();
    // Whether nothing but empty lines came since the last block of commands.
    let mut follows = false;
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            follows &= line.is_empty();
            continue;
        };
        let lines = lines.by_ref().take_while(|line| *line != "```");
        let text = lines.fold(String::new(), |text, line| text + line + "\n");
        match (language, blocks.last_mut().filter(|_| follows)) {
            ("sh", _) => blocks.push(Block { script: text, shown: None }),
            ("json", Some(block)) => block.shown = Some(Shown::Json(text)),
            ("text", Some(block)) => block.shown = Some(Shown::Text(text)),
            (_, _) => {}
        }
        follows = language == "sh";
    }
    blocks
}

/// With the addresses that the server really has.
fn addressed(text: &str, server: &Running) -> String {
    ADDRESSES.iter().fold(text.to_owned(), |text, (listener, shown)| {
        text.replace(shown, &server.address(listener))
    })
}

#[test]
fn begins_with_the_two_commands_that_matter() {
    let scripts: Vec<_> = blocks().into_iter().map(|block| block.script).take(2).collect();
    assert_eq!(scripts, ["cargo run\n", "cargo test\n"]);
}

#[test]
fn works_when_it_is_pasted_in_order() {
    if !shell::has(&["buf", "curl", "jq"], "works_when_it_is_pasted_in_order") {
        return;
    }
    let place = Place::on_sqlite();
    let mut server = place.serve();
    let blocks: Vec<_> =
        blocks().into_iter().filter(|it| !it.script.starts_with("cargo")).collect();
    let mark = format!("printf '\\n%s\\n' '{MARK}'\n");
    let script = blocks.iter().fold(GRPCURL.to_owned(), |script, block| {
        script + &addressed(&block.script, &server) + &mark
    });
    place.write("readme.sh", &script);
    let written = paste(&place, &format!("{}\n", server.welcome().password()));
    let outputs: Vec<_> = written.split(MARK).collect();
    assert_eq!(outputs.len(), blocks.len() + 1);
    for (block, output) in blocks.iter().zip(outputs) {
        let Some(shown) = &block.shown else { continue };
        let is_met = shown.is_met_by(output);
        assert!(is_met, "{}\nwrites\n{output}\nand not\n{}", block.script, shown.text());
    }
    assert!(blocks.iter().filter(|block| block.shown.is_some()).count() > 5);
    assert_names_metrics(&place, &server);
}

/// Runs the script as if it were typed into a shell in the server's folder, and answers what it
/// wrote.
fn paste(place: &Place, input: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_tokend")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-eu", "readme.sh"]).current_dir(place.folder.path()).env_clear();
    command.env("PATH", path).envs(std::env::var_os("HOME").map(|home| ("HOME", home)));
    Running::start(command, input).ended().ok()
}

/// Finds in the server's metrics each that the README names.
fn assert_names_metrics(place: &Place, server: &Running) {
    let url = format!("{}/metrics", server.url("management"));
    let there = shell::run(&format!("curl -sS {url}"));
    let names =
        README.lines().filter_map(|line| line.strip_prefix("| `tokend_")?.split('`').next());
    let names: Vec<_> = names.map(|name| name.split('{').next().unwrap_or_default()).collect();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        assert!(there.contains(&format!("# TYPE tokend_{name} ")), "tokend_{name}\n{there}");
    }
    assert!(place.names().contains("tokend.db"));
}

#[test]
fn shows_settings_with_their_defaults() {
    let place = Place { environment: Vec::new(), ..Place::on_sqlite() };
    let defaults: toml::Table = toml::from_str(&place.run(&["config", "show"]).ok()).unwrap();
    let code = |cell: &str| Some(cell.trim().strip_prefix('`')?.strip_suffix('`')?.to_owned());
    let settings = README.split_once("\n## Settings\n").unwrap().1;
    let rows = settings.lines().take_while(|line| !line.starts_with("## "));
    let rows = rows.filter_map(|row| {
        let mut cells = row.strip_prefix('|')?.split('|');
        Some((code(cells.next()?)?, code(cells.next()?)))
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() > 8, "{rows:?}");
    for (name, shown) in rows {
        let mut words = name.split('.');
        let first = words.next().and_then(|word| defaults.get(word));
        let value = words.try_fold(first, |table, word| Some(table?.get(word)));
        let value = value.flatten().map(|value| value.to_string().replace('"', ""));
        assert_eq!(value, shown, "{name}");
    }
}

#[test]
fn reads_a_wildcard_as_anything() {
    assert!(is_met("a…c…e", "abcde") && is_met("a", "a") && is_met("…", ""));
    assert!(!is_met("a…c", "abd") && !is_met("a…c", "xabc") && !is_met("a", "ab"));
}
