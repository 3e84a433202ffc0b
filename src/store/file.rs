//! Files that are this program's own, beside its database. Others may have put something else under
//! their names: a link is not followed, and what is there is judged before it is changed.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

/// Opens a file of our own, as `options` say, without following a link.
///
/// # Errors
/// It can't be opened; it is a link, or no regular file; it belongs neither to this user nor to the
/// folder's; others may write it.
pub fn open_own(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // A pipe in its place must not keep the start waiting.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits();
    let file = options.custom_flags(flags.cast_signed()).open(path).map_err(|error| {
        if is_link(path) { refused("it is a symbolic link, which is not followed") } else { error }
    })?;
    let found = file.metadata()?;
    if !found.is_file() {
        let what = if found.is_dir() { "directory" } else { "device, pipe or socket" };
        return Err(refused(&format!("it is a {what}, and no regular file")));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    judge(&found, fs::metadata(folder.unwrap_or(Path::new(".")))?.uid())?;
    Ok(file)
}

fn judge(found: &Metadata, owner_of_folder: u32) -> io::Result<()> {
    if found.uid() != geteuid().as_raw() && found.uid() != owner_of_folder {
        return Err(refused("it belongs to another user"));
    }
    if found.mode() & 0o022 != 0 {
        return Err(refused("others on this machine may write it: `chmod 600` it"));
    }
    Ok(())
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_symlink())
}

fn refused(why: &str) -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, why.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    fn refusal(path: &Path) -> String {
        open_own(path, OpenOptions::new().read(true).write(true)).unwrap_err().to_string()
    }

    #[test]
    fn follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&path, "theirs").unwrap();
        symlink(&path, &link).unwrap();
        assert!(refusal(&link).contains("symbolic link"));
        let dangling = folder.path().join("dangling");
        symlink(folder.path().join("none"), &dangling).unwrap();
        let made = open_own(&dangling, OpenOptions::new().write(true).create(true).truncate(false));
        assert!(made.unwrap_err().to_string().contains("symbolic link"));
        assert!(!folder.path().join("none").exists());
    }

    #[test]
    fn takes_regular_files_alone() {
        let folder = tempfile::tempdir().unwrap();
        let read = open_own(folder.path(), OpenOptions::new().read(true)).unwrap_err();
        assert!(read.to_string().contains("directory"), "{read}");
        let null = open_own(Path::new("/dev/null"), OpenOptions::new().read(true)).unwrap_err();
        assert!(null.to_string().contains("device"), "{null}");
    }

    #[test]
    fn takes_no_file_that_others_may_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        for mode in [0o620, 0o602, 0o666] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(refusal(&path).contains("may write it"), "{mode:o}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        open_own(&path, OpenOptions::new().read(true)).unwrap();
    }

    #[test]
    fn takes_no_file_of_another_user() {
        // Only the superuser can make one.
        if !geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        chown(&path, Some(65_534), None).unwrap();
        assert!(refusal(&path).contains("another user"));
        chown(folder.path(), Some(65_534), None).unwrap();
        open_own(&path, OpenOptions::new().read(true)).unwrap();
    }
}
