//! Reads the settings: defaults, then the file, the environment and the flags, each over the last.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use config::builder::DefaultState;
use config::{
    Config, ConfigBuilder, ConfigError, File, FileFormat, Map, Source as _, Value, ValueKind,
};

use super::leaf::{Leaf, SECRETS};
use super::text::Lifetime;
use super::{Settings, profiles};
use crate::secret;

/// The file that is read where no other is named.
const FILE: &str = "tokend.toml";

const PREFIX: &str = "TOKEND__";

const NOT_TOML: &str = "is not TOML";

/// What may be given as a file too, under its name and this.
const TWIN: &str = "_file";

const COMMAND_LINE: &str = "the command line";

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The folder in which `tokend.toml` may be, and from which relative paths go.
    pub folder: PathBuf,
    /// The file that must be there and is read instead.
    pub file: Option<PathBuf>,
    /// The environment; what does not begin with `TOKEND__` is passed over.
    pub environment: Vec<(OsString, OsString)>,
    /// Dotted names, as `grpc.listen`, and their values.
    pub flags: Vec<(String, String)>,
}

/// What is wrong with one setting. Never holds the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The setting by its dotted name, or the file that could not be read.
    pub name: String,
    /// What is wrong with it, to follow the name.
    pub text: String,
    /// The file, variable or else that it came from, where that is known.
    pub origin: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, text, origin } = self;
        match origin {
            Some(origin) => write!(f, "{name} (from {origin}): {text}"),
            None => write!(f, "{name}: {text}"),
        }
    }
}

/// Every fault of the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Lists the faults.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    pub(super) fn add(&mut self, name: &str, text: impl Into<String>) {
        self.0.push(Fault { name: name.to_owned(), text: text.into(), origin: None });
    }

    pub(super) fn take<T>(&mut self, name: &str, parsed: Result<T, &str>) -> Option<T> {
        parsed.map_err(|text| self.add(name, text)).ok()
    }

    pub(super) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    /// Drops what only follows from faults found before: those of the same table.
    fn without_followers_of(mut self, first: &Self) -> Self {
        let table = |fault: &Fault| fault.name.rsplit_once('.').map(|(table, _)| table.to_owned());
        self.0.retain(|fault| !first.iter().any(|cause| table(cause) == table(fault)));
        self
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Error for Faults {}

impl Settings {
    /// Reads the settings and checks their sense.
    ///
    /// # Errors
    /// Every fault, one sentence each: files that can't be read, unknown names, values that are
    /// not of their type, and values that make no sense.
    pub fn load(sources: &Sources) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let layers = [
            sources.file(&mut faults),
            sources.environment(&mut faults),
            sources.flags(&mut faults),
        ];
        let leaves = layers.into_iter().flat_map(|mut layer| {
            sources.read_secrets(&mut layer, &mut faults);
            layer
        });
        let leaves: Vec<Leaf> = leaves.collect();
        let (good, mut faults) = sift(leaves, faults);
        let settings = merge(&good)?;
        let mut senseless = settings.faults();
        senseless.append(settings.silently_endless(&good));
        faults.append(senseless.without_followers_of(&faults));
        for fault in &mut faults.0 {
            let origin = good.iter().rev().find(|leaf| leaf.name == fault.name);
            fault.origin = fault.origin.take().or_else(|| origin.map(|leaf| leaf.origin.clone()));
        }
        faults.or(settings)
    }

    /// Finds profiles that were given a bound and go on without end by default: `personal` with a
    /// `max_lifetime` alone. Who wants that says both.
    fn silently_endless(&self, leaves: &[Leaf]) -> Faults {
        let mut faults = Faults::default();
        for (name, profile) in &self.profiles {
            let is_set = |field: &str| {
                let name = format!("profiles.{name}.{field}");
                leaves.iter().any(|leaf| leaf.name == name)
            };
            if is_set("max_lifetime")
                && !is_set("lifetime")
                && profile.lifetime == Some(Lifetime::Never)
                && profile.max_lifetime != Some(Lifetime::Never)
            {
                let name = format!("profiles.{name}.max_lifetime");
                faults.add(&name, "bounds only what is chosen, for lifetime is `never`: set both");
            }
        }
        faults
    }
}

impl Sources {
    /// Takes the environment of this process and its working folder.
    #[must_use]
    pub fn of_process() -> Self {
        Self { environment: std::env::vars_os().collect(), ..Self::default() }
    }

    fn file(&self, faults: &mut Faults) -> Vec<Leaf> {
        let path = self.file.clone().unwrap_or_else(|| self.folder.join(FILE));
        let origin = path.display().to_string();
        let (text, is_private) = match read_settings(&path) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::NotFound && self.file.is_none() => {
                return Vec::new();
            }
            Err(error) => {
                faults.add(&origin, format!("can't be read: {error}"));
                return Vec::new();
            }
        };
        let mut leaves = Vec::new();
        match File::from_str(&text, FileFormat::Toml).collect() {
            Ok(table) => {
                flatten("", table, &origin, &mut leaves);
                // A table has no order of its own, and the faults are told in this one.
                leaves.sort_by(|a, b| a.name.cmp(&b.name));
            }
            Err(error) => faults.add(&origin, toml_fault(&error, &text)),
        }
        if let Some(leaf) = leaves.iter().find(|leaf| leaf.is_secret())
            && !is_private
        {
            let text = format!("holds {}, and {}", leaf.name, secret::PUBLIC);
            faults.add(&origin, text);
        }
        leaves
    }

    fn environment(&self, faults: &mut Faults) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        for (variable, value) in &self.environment {
            let Some(variable) = variable.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            let name = variable.trim_start_matches(PREFIX).to_lowercase().replace("__", ".");
            match value.to_str() {
                Some(value) => leaves.push(Leaf::text(name, variable, value)),
                None => faults.add(variable, "is not UTF-8"),
            }
        }
        leaves
    }

    fn flags(&self, faults: &mut Faults) -> Vec<Leaf> {
        let flags = self.flags.iter();
        let leaves = flags.map(|(name, value)| Leaf::text(name.clone(), COMMAND_LINE, value));
        let (secrets, leaves): (Vec<_>, Vec<_>) = leaves.partition(Leaf::is_secret);
        for Leaf { name, origin, value: _ } in secrets {
            let variable = name.to_uppercase().replace('.', "__");
            let text = format!(
                "must not be given there, where others on this machine can read it: set \
                 {PREFIX}{variable}, or name a file that holds it by {name}{TWIN}"
            );
            faults.0.push(Fault { name, text, origin: Some(origin) });
        }
        leaves
    }

    /// Puts in the place of each `…_file` what the file holds, and takes from each secret what
    /// surrounds it.
    fn read_secrets(&self, layer: &mut Vec<Leaf>, faults: &mut Faults) {
        for secret in SECRETS {
            let twin = format!("{secret}{TWIN}");
            layer.retain_mut(|leaf| {
                let stripped = if leaf.name == secret { leaf.strip() } else { Ok(()) };
                stripped.map_err(|fault| faults.0.push(fault)).is_ok()
            });
            let direct = layer.iter().any(|leaf| leaf.name == secret);
            let Some(at) = layer.iter().position(|leaf| leaf.name == twin) else { continue };
            let leaf = layer.swap_remove(at);
            if direct {
                faults.add(&twin, format!("must not be set beside {secret}"));
                continue;
            }
            let path = leaf.value.into_string().ok().map(|path| self.folder.join(path));
            match path.map(|path| secret::read(&path)) {
                Some(Ok(text)) => layer.push(Leaf::text(secret.to_owned(), &leaf.origin, &text)),
                Some(Err(text)) => {
                    faults.0.push(Fault { name: twin, text, origin: Some(leaf.origin) });
                }
                None => faults.add(&twin, "must be the path of a file"),
            }
        }
    }
}

/// Reads the settings file, and whether it may hold a secret.
fn read_settings(path: &Path) -> std::io::Result<(String, bool)> {
    let mut file = fs::File::open(path)?;
    let is_private = secret::is_private(&file, path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    // An editor's byte order mark, which TOML does not know.
    Ok((text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text), is_private))
}

impl Leaf {
    /// What is wrong with it, taken by itself.
    fn fault(&self) -> Option<String> {
        // The path language of `config` knows more than names: `a[7]`.
        let is_name = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        if !self.name.split('.').all(is_name) {
            return Some("is not the name of a setting".to_owned());
        }
        // `config` would round it.
        if matches!(self.value.kind, ValueKind::Float(_)) {
            return Some("must not have a fraction".to_owned());
        }
        deserialize(std::slice::from_ref(self)).err().map(|error| sentence(&error))
    }
}

/// Parts the leaves that can be read from those that can't.
fn sift(leaves: Vec<Leaf>, mut faults: Faults) -> (Vec<Leaf>, Faults) {
    let mut good = Vec::new();
    for leaf in leaves {
        match leaf.fault() {
            None => good.push(leaf),
            Some(text) => {
                faults.0.push(Fault { name: leaf.name, text, origin: Some(leaf.origin) });
            }
        }
    }
    (good, faults)
}

fn merge(leaves: &[Leaf]) -> Result<Settings, Faults> {
    let mut settings = deserialize(leaves).map_err(|error| {
        let mut faults = Faults::default();
        faults.add("settings", sentence(&error));
        faults
    })?;
    settings.profiles = profiles::over_built_in(settings.profiles);
    Ok(settings)
}

fn deserialize(leaves: &[Leaf]) -> Result<Settings, ConfigError> {
    let set = |builder: ConfigBuilder<DefaultState>, leaf: &Leaf| {
        builder.set_override(&leaf.name, leaf.value.clone())
    };
    leaves.iter().try_fold(Config::builder(), set)?.build()?.try_deserialize()
}

/// Lists the values under a table; an empty table is one itself, so that its name is checked too.
fn flatten(above: &str, table: Map<String, Value>, origin: &str, leaves: &mut Vec<Leaf>) {
    for (key, value) in table {
        // A dot inside a quoted key is no step down.
        let key = if key.contains('.') { format!("\"{key}\"") } else { key };
        let name = if above.is_empty() { key } else { format!("{above}.{key}") };
        if let ValueKind::Table(inner) = &value.kind
            && !inner.is_empty()
        {
            flatten(&name, inner.clone(), origin, leaves);
        } else {
            leaves.push(Leaf { name, origin: origin.to_owned(), value });
        }
    }
}

/// Says what is wrong without the value, which may be a secret in the wrong place.
fn sentence(error: &ConfigError) -> String {
    if let ConfigError::At { error, .. } = error {
        return sentence(error);
    }
    if let ConfigError::Type { expected, .. } = error {
        return format!("must be {expected}");
    }
    let text = error.to_string();
    match text.rsplit_once(", expected ") {
        Some((before, expected)) if before.starts_with("invalid ") => format!("must be {expected}"),
        _ => text,
    }
}

/// Says what is wrong with a file, and in which line, but does not quote it: it may hold a secret.
fn toml_fault(error: &ConfigError, text: &str) -> String {
    let ConfigError::FileParse { cause, .. } = error else { return NOT_TOML.to_owned() };
    let Some(fault) = cause.downcast_ref::<toml::de::Error>() else { return NOT_TOML.to_owned() };
    let before = fault.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(1, |before| before.matches('\n').count() + 1);
    format!("{NOT_TOML}: line {line}: {}", fault.message())
}
