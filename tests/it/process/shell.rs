//! Programs that a line for the shell calls, which a machine may not have.

use std::io::Write as _;
use std::process::Command;

/// Whether all of these programs are here. Where one is missing, says so and that `test` is
/// skipped; on CI that is a failure.
pub(super) fn has(programs: &[&str], test: &str) -> bool {
    let is_here = |program: &&&str| {
        let found = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output();
        found.unwrap().status.success()
    };
    let missing: Vec<_> = programs.iter().filter(|program| !is_here(program)).collect();
    if missing.is_empty() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "CI has to have {missing:?}");
    // Past the capture of the test harness, which hides what a test that passes prints.
    let skipped = format!("SKIPPED {test}: {missing:?} not found\n");
    std::io::stderr().write_all(skipped.as_bytes()).unwrap();
    false
}

/// Runs a line or a script and answers what it wrote.
pub(super) fn run(script: &str) -> String {
    let mut shell = Command::new("sh");
    let output = shell.args(["-euc", script]).env("no_proxy", "127.0.0.1").output().unwrap();
    assert!(output.status.success(), "{output:#?}");
    String::from_utf8(output.stdout).unwrap()
}
