//! Secrets that come from outside: what surrounds one in a file, a variable or a pipe, and who else
//! may read its file.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use zeroize::Zeroizing;

/// More than any secret has: a URL or a token of a few thousand bytes.
const MOST_BYTES: u64 = 64 * 1024;

/// Where container engines mount secrets, for the container alone.
const MOUNTED: &str = "/run/secrets/";

/// Answers the secret in what was read: without a byte order mark before it and one line end, `\n`
/// or `\r\n`, behind it. Editors and shells put those there; nothing else is taken away.
///
/// # Errors
/// What is wrong with it, to follow its name: it holds a line end, NUL or a byte order mark, so that
/// nobody knows where it begins or ends.
pub fn text(read: &str) -> Result<&str, &'static str> {
    let text = read.strip_prefix('\u{feff}').unwrap_or(read);
    let text = text.strip_suffix('\n').map_or(text, |rest| rest.strip_suffix('\r').unwrap_or(rest));
    if text.contains(['\n', '\r']) {
        Err("holds more than one line, or a line end that is neither `\\n` nor `\\r\\n`")
    } else if text.contains('\0') {
        Err("holds NUL: is it UTF-16?")
    } else if text.contains('\u{feff}') {
        Err("holds a byte order mark inside")
    } else {
        Ok(text)
    }
}

/// Reads the secret that a file holds, as [`text`] does.
///
/// # Errors
/// What is wrong with the file, to follow its name: it can't be read, others may read it, it holds
/// no secret.
pub fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let unreadable = |error: io::Error| format!("can't be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let is_private = is_private(&file, path).map_err(unreadable)?;
    if !is_private {
        return Err(PUBLIC.to_owned());
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err("is larger than 64 KiB".to_owned());
    }
    let read = str::from_utf8(&bytes).map_err(|_| "is not UTF-8".to_owned())?;
    Ok(Zeroizing::new(text(read)?.to_owned()))
}

/// What is wrong with a file that is not private, to follow its name.
pub const PUBLIC: &str = "others on this machine may read it: `chmod 600` it";

/// Whether nobody but its owner may read an open file, or write it. A group may read what belongs
/// to another user, for that is how this process comes to it. What a container engine mounts
/// read-only under `/run/secrets/` is its container's alone, whatever its mode says.
///
/// # Errors
/// The system does not tell.
pub fn is_private(file: &File, path: &Path) -> io::Result<bool> {
    let found = file.metadata()?;
    let own = rustix::process::geteuid().as_raw();
    if has_private_mode(found.mode(), found.uid() == own) {
        return Ok(true);
    }
    let real = fs::canonicalize(path)?;
    if !real.starts_with(MOUNTED) {
        return Ok(false);
    }
    let mount = rustix::fs::fstatvfs(file)?;
    Ok(mount.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

fn has_private_mode(mode: u32, is_own: bool) -> bool {
    let (group, others) = (mode & 0o070, mode & 0o007);
    others == 0 && (group == 0 || (group == 0o040 && !is_own))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn is_the_same_secret_whatever_surrounds_it() {
        for read in ["s", "s\n", "s\r\n", "\u{feff}s", "\u{feff}s\r\n"] {
            assert_eq!(text(read), Ok("s"), "{read:?}");
        }
        for kept in [" s ", "s\t", "ß", ""] {
            assert_eq!(text(kept), Ok(kept));
        }
    }

    #[test]
    fn refuses_what_has_no_clear_begin_or_end() {
        for read in
            ["s\n\n", "\ns", "s\r", "s\n\r", "a\nb", "s\0", "\u{feff}\u{feff}s", "s\u{feff}"]
        {
            assert!(text(read).is_err(), "{read:?}");
        }
    }

    #[test]
    fn reads_a_file_that_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "\u{feff}s\r\n").unwrap();
        for (mode, is_read) in [
            (0o600, true),
            (0o400, true),
            (0o640, false),
            (0o604, false),
            (0o644, false),
            (0o620, false),
            (0o602, false),
        ] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let read = read(&path).map(|secret| secret.as_str().to_owned());
            let expected = if is_read { Ok("s".to_owned()) } else { Err(PUBLIC.to_owned()) };
            assert_eq!(read, expected, "{mode:o}");
        }
    }

    #[test]
    fn follows_a_link_that_the_operator_names() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("secret"), folder.path().join("link"));
        fs::write(&path, "s").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read(&link).unwrap().as_str(), "s");
    }

    #[test]
    fn names_what_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let reads = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            read(&path).unwrap_err()
        };
        assert_eq!(reads(b"\xff\xfes\0"), "is not UTF-8");
        assert!(reads(b"a\nb").contains("more than one line"));
        assert_eq!(reads(&vec![b'a'; 70_000]), "is larger than 64 KiB");
        assert!(read(folder.path()).unwrap_err().contains("read"));
    }

    #[test]
    fn lets_a_group_read_only_what_is_anothers() {
        for (mode, is_own, is_private) in [
            (0o100_440, false, true),
            (0o100_640, false, true),
            (0o100_440, true, false),
            (0o100_460, false, false),
            (0o100_444, false, false),
            (0o100_400, true, true),
        ] {
            assert_eq!(has_private_mode(mode, is_own), is_private, "{mode:o} {is_own}");
        }
    }
}
