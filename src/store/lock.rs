//! The lock by which one process has a SQLite database to itself.
//!
//! It is a kernel lock on the sibling file `<database>.lock`, which ends with its process, however
//! that ends. The file says who holds it, in lines of a name and a value; it is never removed, for
//! then two could each lock a file of that name. The database itself is never locked by us:
//! closing it would drop the locks that SQLite has on it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read as _};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time;

use super::file::open_own;

/// How often a lock that another holds is tried again.
const RETRY: Duration = Duration::from_millis(50);

/// More than a file of ours can hold.
const MAX_FILE: u64 = 4096;

/// File systems of the network, by their magic numbers in Linux's `linux/magic.h`. SQLite's log
/// needs shared memory, which their machines don't share.
const NETWORK: [(u32, &str); 5] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB"),
    (0x5346_414F, "AFS"),
];

/// Who holds a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The id of the process; `None` where it has only just taken the lock.
    pub pid: Option<u32>,
    /// Where it serves the contract, once it does.
    pub grpc: Option<SocketAddr>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => f.write_str("another process")?,
        }
        match self.grpc {
            Some(address) => write!(f, ", which serves gRPC on {address}"),
            None => Ok(()),
        }
    }
}

/// Where a process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The contract.
    pub grpc: SocketAddr,
    /// The shim, if it does.
    pub rest: Option<SocketAddr>,
    /// The management endpoints, if it does.
    pub management: Option<SocketAddr>,
}

/// Why a database could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("the database {} is in use by {holder}", path.display())]
    Held {
        /// The database.
        path: PathBuf,
        /// The first process.
        holder: Holder,
    },
    /// The folder is missing.
    #[error("the folder of the database {} does not exist", .0.display())]
    NoFolder(PathBuf),
    /// It lies on a file system of the network.
    #[error(
        "the database {} lies on a network file system ({kind}), where SQLite can lose data: \
         move it to a local disk", path.display()
    )]
    NetworkFileSystem {
        /// The database.
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
    /// The lock file could not be used.
    #[error("the lock file {} can't be used: {cause}", path.display())]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// A database that this process has to itself, until this is dropped.
#[derive(Debug)]
pub struct DatabaseLock {
    file: File,
    path: PathBuf,
}

impl DatabaseLock {
    /// Locks a database, which need not be there yet. Where another process has it, waits for it
    /// so long.
    ///
    /// # Errors
    /// [`LockError::Held`] where it is not free in time; the others at once.
    pub async fn acquire(database: &Path, wait: Duration) -> Result<Self, LockError> {
        let path = lock_path(database)?;
        refuse_network(database, &path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = open_own(&path, &mut options).map_err(|cause| unusable(&path, cause))?;
        let deadline = time::Instant::now() + wait;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(cause)) => return Err(unusable(&path, cause)),
                Err(TryLockError::WouldBlock) if time::Instant::now() >= deadline => {
                    let holder = read(&file).map_err(|cause| unusable(&path, cause))?;
                    return Err(LockError::Held { path: database.to_owned(), holder });
                }
                Err(TryLockError::WouldBlock) => time::sleep(RETRY).await,
            }
        }
        clear(&file).map_err(|cause| unusable(&path, cause))?;
        let lock = Self { file, path };
        lock.write(None)?;
        Ok(lock)
    }

    /// Writes down where this process serves.
    ///
    /// # Errors
    /// [`LockError::Unusable`].
    pub fn set_addresses(&self, addresses: &Addresses) -> Result<(), LockError> {
        self.write(Some(addresses))
    }

    /// Finds who holds a database; `None`: nobody does. Takes the lock for a moment, but so that
    /// others can do the same.
    ///
    /// # Errors
    /// [`LockError::NoFolder`] and [`LockError::Unusable`].
    pub fn holder(database: &Path) -> Result<Option<Holder>, LockError> {
        let path = lock_path(database)?;
        let file = match open_own(&path, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(unusable(&path, cause)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                read(&file).map(Some).map_err(|cause| unusable(&path, cause))
            }
            Err(TryLockError::Error(cause)) => Err(unusable(&path, cause)),
        }
    }

    fn write(&self, addresses: Option<&Addresses>) -> Result<(), LockError> {
        let lines = [
            Some(format!("pid {}\n", std::process::id())),
            addresses.map(|known| format!("grpc {}\n", known.grpc)),
            addresses.and_then(|known| known.rest).map(|rest| format!("rest {rest}\n")),
            addresses.and_then(|known| known.management).map(|own| format!("management {own}\n")),
        ];
        let text = lines.into_iter().flatten().collect::<Vec<_>>().concat();
        // Over the old text, which it begins with: a reader always finds our pid.
        let written = self.file.write_all_at(text.as_bytes(), 0);
        written.map_err(|cause| unusable(&self.path, cause))
    }
}

fn unusable(path: &Path, cause: io::Error) -> LockError {
    LockError::Unusable { path: path.to_owned(), cause }
}

/// Answers the lock file's path, the same by whatever way the database is named.
fn lock_path(database: &Path) -> Result<PathBuf, LockError> {
    let no_folder = || LockError::NoFolder(database.to_owned());
    let real = if let Ok(real) = fs::canonicalize(database) {
        real
    } else {
        let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty());
        let name = database.file_name().ok_or_else(no_folder)?;
        fs::canonicalize(folder.unwrap_or(Path::new("."))).map_err(|_| no_folder())?.join(name)
    };
    let mut path = OsString::from(real);
    path.push(".lock");
    Ok(path.into())
}

fn refuse_network(database: &Path, lock: &Path) -> Result<(), LockError> {
    let folder = lock.parent().unwrap_or(lock);
    let found = rustix::fs::statfs(folder).map_err(|cause| unusable(lock, cause.into()))?;
    match network_kind(u64::from_ne_bytes(found.f_type.to_ne_bytes())) {
        Some(kind) => Err(LockError::NetworkFileSystem { path: database.to_owned(), kind }),
        None => Ok(()),
    }
}

fn network_kind(magic: u64) -> Option<&'static str> {
    // Some platforms sign-extend the 32 bits that matter.
    let magic = magic & u64::from(u32::MAX);
    NETWORK.iter().find(|(known, _)| u64::from(*known) == magic).map(|(_, kind)| *kind)
}

/// Takes away what the last holder wrote, which must not be read as ours. What nobody of us can have
/// written is somebody's file, and stays as it is.
fn clear(file: &File) -> io::Result<()> {
    let text = text(file).ok().filter(|text| is_ours(text));
    if text.is_none() {
        let what = "it holds something else than a lock of tokend, which is left as it is";
        return Err(io::Error::new(ErrorKind::InvalidData, what));
    }
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.set_len(0)
}

/// Whether all that is there are lines as [`DatabaseLock`] writes them. A holder that ended in its
/// midst may have left half a line.
fn is_ours(text: &str) -> bool {
    const NAMES: [&str; 4] = ["pid", "grpc", "rest", "management"];
    text.lines().all(|line| match line.split_once(' ') {
        Some((name, value)) => NAMES.contains(&name) && !value.contains(' '),
        None => NAMES.iter().any(|name| name.starts_with(line)),
    })
}

fn text(file: &File) -> io::Result<String> {
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is too long"));
    }
    Ok(text)
}

fn read(file: &File) -> io::Result<Holder> {
    let text = text(file)?;
    let value = |wanted: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(name, _)| *name == wanted).map(|(_, value)| value)
    };
    Ok(Holder {
        pid: value("pid").and_then(|pid| pid.parse().ok()),
        grpc: value("grpc").and_then(|address| address.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokend.db");
        (folder, path)
    }

    #[tokio::test]
    async fn keeps_a_second_holder_out_and_names_the_first() {
        let (_folder, path) = database();
        let lock = DatabaseLock::acquire(&path, Duration::ZERO).await.unwrap();
        let grpc = "127.0.0.1:50051".parse().unwrap();
        lock.set_addresses(&Addresses { grpc, rest: None, management: None }).unwrap();

        let refused = DatabaseLock::acquire(&path, Duration::ZERO).await.unwrap_err();

        let text = refused.to_string();
        let me = format!("process {}, which serves gRPC on 127.0.0.1:50051", std::process::id());
        assert!(text.ends_with(&me), "{text}");
    }

    #[tokio::test]
    async fn gives_the_lock_on_when_the_first_lets_go() {
        let (_folder, path) = database();
        let first = DatabaseLock::acquire(&path, Duration::ZERO).await.unwrap();
        let long = Duration::from_mins(1);
        let (second, ()) =
            tokio::join!(DatabaseLock::acquire(&path, long), async move { drop(first) });
        second.unwrap();
    }

    #[tokio::test]
    async fn finds_the_holder_and_is_not_misled_by_a_stale_file() {
        let (_folder, path) = database();
        assert_eq!(DatabaseLock::holder(&path).unwrap(), None);
        let lock = DatabaseLock::acquire(&path, Duration::ZERO).await.unwrap();
        let found = DatabaseLock::holder(&path).unwrap().unwrap();
        assert_eq!(found, Holder { pid: Some(std::process::id()), grpc: None });
        drop(lock);
        assert_eq!(DatabaseLock::holder(&path).unwrap(), None);
    }

    #[tokio::test]
    async fn is_the_same_lock_by_another_name_of_the_database() {
        let (folder, path) = database();
        fs::write(&path, "").unwrap();
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let _lock = DatabaseLock::acquire(&link, Duration::ZERO).await.unwrap();
        assert!(DatabaseLock::acquire(&path, Duration::ZERO).await.is_err());
    }

    #[tokio::test]
    async fn lets_only_its_owner_read_the_file() {
        let (folder, path) = database();
        let _lock = DatabaseLock::acquire(&path, Duration::ZERO).await.unwrap();
        let file = fs::metadata(folder.path().join("tokend.db.lock")).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn leaves_a_file_alone_that_is_not_its_own() {
        let (folder, path) = database();
        let lock = folder.path().join("tokend.db.lock");
        let long = format!("pid {}\n", "1".repeat(5000));
        for theirs in ["my letter to the bank\n", "pid 1\nand more of mine\n", &*long, "\u{1}\0"] {
            fs::write(&lock, theirs).unwrap();
            let refused = DatabaseLock::acquire(&path, Duration::ZERO).await.unwrap_err();
            assert!(matches!(refused, LockError::Unusable { .. }), "{refused}");
            assert!(refused.to_string().contains("left as it is"), "{refused}");
            assert_eq!(fs::read_to_string(&lock).unwrap(), theirs);
        }
        fs::remove_file(&lock).unwrap();
        let theirs = folder.path().join("theirs");
        fs::write(&theirs, "pid 1\n").unwrap();
        std::os::unix::fs::symlink(&theirs, &lock).unwrap();
        let refused = DatabaseLock::acquire(&path, Duration::ZERO).await.unwrap_err();
        assert!(refused.to_string().contains("symbolic link"), "{refused}");
        assert!(DatabaseLock::holder(&path).is_err());
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "pid 1\n");
    }

    #[tokio::test]
    async fn takes_over_what_another_holder_left_half_written() {
        let (folder, path) = database();
        for left in ["", "pid", "pid 4711", "pid 4711\ngrpc 127.0.0.1:50051\nmanag"] {
            fs::write(folder.path().join("tokend.db.lock"), left).unwrap();
            DatabaseLock::acquire(&path, Duration::ZERO).await.unwrap();
        }
    }

    #[tokio::test]
    async fn says_that_the_folder_is_missing() {
        let (folder, _) = database();
        let path = folder.path().join("none/tokend.db");
        let refused = DatabaseLock::acquire(&path, Duration::ZERO).await.unwrap_err();
        assert!(matches!(refused, LockError::NoFolder(_)), "{refused}");
    }

    #[test]
    fn knows_the_file_systems_of_the_network() {
        assert_eq!(network_kind(0x6969), Some("NFS"));
        assert_eq!(network_kind(0xFFFF_FFFF_FF53_4D42), Some("CIFS"));
        assert_eq!(network_kind(0xEF53), None, "ext4");
    }
}
