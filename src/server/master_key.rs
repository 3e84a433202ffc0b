//! The master key: from the settings, or on SQLite from a file beside the database.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::StartError;
use crate::config::Settings;
use crate::domain::random::Random;
use crate::domain::seal::MasterKey;
use crate::secret;
use crate::store::file::open_own;

/// More than a key and what surrounds it.
const MOST_BYTES: u64 = 4096;

/// Whether the database holds keys that a master key sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SealedKeys {
    /// It does: only their own master key will do.
    Present,
    /// It holds none yet.
    None,
}

/// Finds the master key. Where none is set and the database is a file, it is in `<database>.key`,
/// which is made with mode 0600 at the very first start.
///
/// # Errors
/// None is set, and the database is on a server; the file can't be read, is a link, others may read
/// it, it holds no key; or the database holds sealed keys and the file is gone: then no new one is
/// made.
pub(super) fn find(
    settings: &Settings,
    database: Option<&Path>,
    sealed: SealedKeys,
    random: &dyn Random,
) -> Result<MasterKey, StartError> {
    if let Some(key) = settings.keys.decode().map_err(StartError::MasterKey)? {
        return Ok(key);
    }
    let database = database.ok_or(StartError::NoMasterKey)?;
    let path = PathBuf::from(format!("{}.key", database.display()));
    match open_own(&path, OpenOptions::new().read(true)) {
        Ok(file) => read(&path, file),
        Err(cause) if cause.kind() == ErrorKind::NotFound => match sealed {
            SealedKeys::None => make(&path, random),
            SealedKeys::Present => Err(fault(
                &path,
                "it is gone, and the keys in the database were sealed with it; put it back, or set \
                 keys.master_key",
            )),
        },
        Err(cause) => Err(fault(&path, &cause)),
    }
}

fn read(path: &Path, file: File) -> Result<MasterKey, StartError> {
    if !secret::is_private(&file, path).map_err(|cause| fault(path, &cause))? {
        return Err(fault(path, secret::PUBLIC));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MOST_BYTES).read_to_string(&mut text).map_err(|cause| fault(path, &cause))?;
    let key = secret::text(&text).and_then(MasterKey::parse);
    key.map_err(|what| fault(path, &format!("what it holds {what}")))
}

fn make(path: &Path, random: &dyn Random) -> Result<MasterKey, StartError> {
    let text = MasterKey::generate(random)?;
    let write = || {
        // Whole or not at all: half a key would keep every later start from starting.
        let draft = PathBuf::from(format!("{}.new", path.display()));
        drop(fs::remove_file(&draft));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::hard_link(&draft, path)?;
        fs::remove_file(&draft)?;
        // The name, too, must survive a power cut: a database whose key is gone is lost.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|cause| fault(path, &cause))?;
    MasterKey::parse(&text).map_err(|what| fault(path, what))
}

fn fault(path: &Path, fault: &(impl ToString + ?Sized)) -> StartError {
    StartError::KeyFile { path: path.to_owned(), fault: fault.to_string() }
}
