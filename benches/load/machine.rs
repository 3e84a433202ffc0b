//! What the figures were taken on.

use std::fs;
use std::process::Command;

use crate::Result;

/// The machine, and what was built.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Cores that this process may use.
    pub(crate) cores: usize,
    /// The processor, as it calls itself.
    pub(crate) processor: String,
    /// The release of the kernel.
    pub(crate) kernel: String,
    /// The commit, with a `+` where there are changes on top of it.
    pub(crate) commit: String,
    /// How many processes want to run: the mean of the last minute, and of five and fifteen.
    pub(crate) load: String,
}

/// The cores that this process may use.
pub(crate) fn cores() -> Result<usize> {
    Ok(std::thread::available_parallelism()?.get())
}

impl Machine {
    /// Looks at it.
    pub(crate) fn look() -> Result<Self> {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = processors.lines().find_map(|line| line.strip_prefix("model name"));
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Ok(Self {
            cores: cores()?,
            processor: name.unwrap_or_default().trim_start_matches([' ', '\t', ':']).to_owned(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            commit: commit(),
            load: load.split(' ').take(3).collect::<Vec<_>>().join(" "),
        })
    }
}

/// How it was built: a bench of an unoptimised build says nothing.
pub(crate) const fn build() -> &'static str {
    if cfg!(debug_assertions) { "unoptimised" } else { "release" }
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(head) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => head,
        Some(_) | None => format!("{head}+"),
    }
}
