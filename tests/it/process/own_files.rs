//! Files of its own, and files with secrets: what others may have put there, and what they may read.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::Place;

/// Somebody's file, and what is in it.
fn somebodys(place: &Place) -> (std::path::PathBuf, &'static str) {
    let path = place.path("precious");
    fs::write(&path, "nobody else's").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    (path, "nobody else's")
}

fn set_mode(place: &Place, name: &str, mode: u32) {
    fs::set_permissions(place.path(name), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn follows_no_link_that_stands_in_the_place_of_a_file_of_its_own() {
    let place = Place::on_sqlite();
    assert_eq!(place.serve().stop().code, Some(0));
    let (precious, content) = somebodys(&place);
    for (name, said) in [
        ("tokend.db.lock", "the lock file "),
        ("tokend.db.key", "the key file tokend.db.key: it is a symbolic link"),
    ] {
        let kept = fs::read(place.path(name)).unwrap();
        fs::remove_file(place.path(name)).unwrap();
        symlink(&precious, place.path(name)).unwrap();
        let sentence = place.run(&[]).sentence();
        assert!(sentence.starts_with(said), "{sentence}");
        assert!(sentence.contains("it is a symbolic link, which is not followed"), "{sentence}");
        fs::remove_file(place.path(name)).unwrap();
        fs::write(place.path(name), kept).unwrap();
        set_mode(&place, name, 0o600);
    }
    // What the new key is written to before it has its name.
    let place = Place::on_sqlite();
    let (precious, _) = somebodys(&place);
    symlink(&precious, place.path("tokend.db.key.new")).unwrap();
    assert_eq!(place.serve().stop().code, Some(0));
    assert_eq!(fs::read_to_string(&precious).unwrap(), content);
    assert!(!place.path("tokend.db.key").is_symlink());
    // And a database that is not there yet.
    let place = Place::on_sqlite();
    symlink(place.path("elsewhere"), place.path("tokend.db")).unwrap();
    place.run(&[]).sentence();
    assert!(!place.path("elsewhere").exists());
}

#[test]
fn empties_no_file_that_only_has_the_name_of_its_lock() {
    let place = Place::on_sqlite();
    place.write("tokend.db.lock", "my notes\nof today\n");
    set_mode(&place, "tokend.db.lock", 0o600);
    let sentence = place.run(&[]).sentence();
    assert!(sentence.contains("it holds something else than a lock of tokend"), "{sentence}");
    assert_eq!(fs::read_to_string(place.path("tokend.db.lock")).unwrap(), "my notes\nof today\n");
    place.write("tokend.db.lock", "");
    set_mode(&place, "tokend.db.lock", 0o666);
    let sentence = place.run(&[]).sentence();
    assert!(sentence.contains("others on this machine may write it"), "{sentence}");
}

#[test]
fn takes_no_secret_that_others_may_read() {
    let place = Place::on_sqlite();
    place.write("tokend.toml", "[bootstrap]\npassword = 'chosen by hand'\n");
    set_mode(&place, "tokend.toml", 0o644);
    let sentence = place.run(&[]).sentence();
    let expected = "tokend.toml: holds bootstrap.password, and others on this machine may read it: \
                    `chmod 600` it";
    assert_eq!(sentence, expected);
    set_mode(&place, "tokend.toml", 0o600);
    assert_eq!(place.serve().stop().code, Some(0));

    let place = Place::on_sqlite().with("TOKEND__BOOTSTRAP__PASSWORD_FILE", "password");
    place.write("password", "\u{feff}chosen by hand\r\n");
    set_mode(&place, "password", 0o644);
    let sentence = place.run(&[]).sentence();
    assert!(sentence.contains("others on this machine may read it"), "{sentence}");
    set_mode(&place, "password", 0o400);
    let server = place.serve();
    let ask = ["user", "list", "--as", "admin", "--server", &server.url("grpc")];
    let place = place.with("TOKEND_PASSWORD", "chosen by hand");
    assert!(place.run(&ask).ok().contains("admin"));
}

#[test]
fn takes_no_secret_from_its_command_line() {
    let place = Place::on_sqlite();
    for arguments in [
        &["--set", "bootstrap.password=hunter2"][..],
        &["config", "check", "--set", "keys.master_key=hunter2"],
        &["--set", "database.url=postgres://tokend:hunter2@127.0.0.1/tokend"],
        &["--database-url", "mysql://tokend:hunter2@127.0.0.1/tokend", "migrate"],
    ] {
        let sentence = place.run(arguments).sentence();
        assert!(
            sentence.contains("(from the command line): must not be given there"),
            "{sentence}"
        );
        assert!(sentence.contains("_FILE") || sentence.contains("_file"), "{sentence}");
        assert!(!sentence.contains("hunter2"), "{sentence}");
    }
}
