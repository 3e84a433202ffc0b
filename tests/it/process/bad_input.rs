//! What is wrong is said in one sentence, and leaves nothing behind.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use super::{Ended, Place};

const LOCK: &str = "tokend.db.lock";

/// Zeroes: base64 of 32 bytes that nobody drew.
const WEAK_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A folder in which a server ran.
fn used() -> Place {
    let place = Place::on_sqlite();
    assert_eq!(place.serve().stop().code, Some(0));
    place
}

/// Starts a server that can't start, and answers its sentence. The folder is as it was, except
/// for the lock file, which is never removed.
#[track_caller]
fn refused(place: &Place) -> String {
    let before = place.names();
    let sentence = place.run(&[]).sentence();
    let made: BTreeSet<_> = place.names().difference(&before).cloned().collect();
    assert!(made.iter().all(|name| name == LOCK), "{sentence} {made:?}");
    assert!(before.is_subset(&place.names()), "{sentence}");
    sentence
}

#[track_caller]
fn assert_says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "{part:?} is not in {sentence:?}");
    }
}

#[test]
fn names_the_folder_that_is_missing() {
    let place = Place::on_sqlite().with("TOKEND__DATABASE__URL", "sqlite://none/tokend.db");
    assert_eq!(refused(&place), "the folder of the database none/tokend.db does not exist");
}

#[test]
fn names_the_folder_that_it_may_not_write_to() {
    // The superuser may not, either.
    let place = Place::on_sqlite().with("TOKEND__DATABASE__URL", "sqlite:///proc/tokend.db");
    assert_says(&refused(&place), &["the lock file /proc/tokend.db.lock can't be used: "]);
}

#[test]
fn names_the_file_that_is_no_database() {
    let place = Place::on_sqlite();
    place.write("tokend.db", &"This is a letter and no database. ".repeat(100));
    let before = fs::read(place.path("tokend.db")).unwrap();
    assert_eq!(refused(&place), "the file tokend.db is not a database of SQLite");
    assert_eq!(fs::read(place.path("tokend.db")).unwrap(), before);
}

#[test]
fn takes_no_key_file_that_others_may_read() {
    let place = used();
    fs::set_permissions(place.path("tokend.db.key"), Permissions::from_mode(0o640)).unwrap();
    assert_says(&refused(&place), &["the key file tokend.db.key: others", "`chmod 600`"]);
    fs::set_permissions(place.path("tokend.db.key"), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(place.serve().stop().code, Some(0));
}

#[test]
fn makes_no_new_key_where_the_old_one_is_gone() {
    let place = used();
    fs::rename(place.path("tokend.db.key"), place.path("elsewhere")).unwrap();
    assert_says(&refused(&place), &["the key file tokend.db.key: it is gone", "put it back"]);
    fs::rename(place.path("elsewhere"), place.path("tokend.db.key")).unwrap();
    assert_eq!(place.serve().stop().code, Some(0));
}

#[test]
fn names_the_key_file_that_it_can_t_read() {
    let place = used();
    fs::remove_file(place.path("tokend.db.key")).unwrap();
    // A folder in its place can't be read by the superuser, either.
    fs::create_dir(place.path("tokend.db.key")).unwrap();
    fs::set_permissions(place.path("tokend.db.key"), Permissions::from_mode(0o700)).unwrap();
    assert_says(&refused(&place), &["the key file tokend.db.key: ", "directory"]);
}

#[test]
fn takes_no_key_that_is_weak_or_another_one() {
    let place = used();
    place.write("tokend.db.key", WEAK_KEY);
    assert_says(&refused(&place), &["the key file tokend.db.key: "]);
    fs::copy(used().path("tokend.db.key"), place.path("tokend.db.key")).unwrap();
    let sentence = "a key in the database does not open with this master key";
    assert_eq!(refused(&place), sentence);

    let place = Place::on_sqlite().with("TOKEND__KEYS__MASTER_KEY", WEAK_KEY);
    let sentence = refused(&place);
    assert_says(&sentence, &["keys.master_key (from TOKEND__KEYS__MASTER_KEY): is not random"]);
    assert!(!sentence.contains(WEAK_KEY));
    assert!(place.names().is_empty());
}

#[test]
fn names_the_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (name, setting) in [
        ("TOKEND__GRPC__LISTEN", "grpc.listen"),
        ("TOKEND__REST__LISTEN", "rest.listen"),
        ("TOKEND__MANAGEMENT__LISTEN", "management.listen"),
    ] {
        let place = Place::on_sqlite().with(name, &address);
        let sentence = refused(&place);
        assert_says(&sentence, &[&format!("{setting}: can't listen at {address}: ")]);
        assert_eq!(place.names(), BTreeSet::from([LOCK.to_owned()]));
    }
}

#[test]
fn keeps_a_second_process_out_and_names_the_first() {
    let place = Place::on_sqlite();
    let first = place.serve();
    let holder = format!("process {}, which serves gRPC on {}", first.pid(), first.address("grpc"));
    let sentence = format!("the database tokend.db is in use by {holder}");
    assert_eq!(refused(&place), sentence);
    assert_eq!(place.run(&["migrate"]).sentence(), sentence);
    assert_eq!(first.stop().code, Some(0));
    assert_eq!(place.serve().stop().code, Some(0));
}

#[test]
fn names_every_fault_of_the_settings_at_once() {
    let place = Place::on_sqlite()
        .with("TOKEND__NO__SUCH", "1")
        .with("TOKEND__LOG__LEVEL", "loud")
        .with("TOKEND__DATABASE__URL", "oracle://somewhere");
    place.write("tokend.toml", "typo = 1\n[grpc]\nlisten = 'here'\n");
    let faults = place.run(&[]).faults();
    let mut names: Vec<_> =
        faults.iter().filter_map(|fault| Some(fault.split_once(": ")?.0)).collect();
    names.sort_unstable();
    let expected = [
        "database.url (from TOKEND__DATABASE__URL)",
        "grpc.listen (from tokend.toml)",
        "log.level (from TOKEND__LOG__LEVEL)",
        "no.such (from TOKEND__NO__SUCH)",
        "typo (from tokend.toml)",
    ];
    assert_eq!(names, expected);
    assert_eq!(place.run(&["config", "check"]).faults(), faults);
    assert_eq!(place.names(), BTreeSet::from(["tokend.toml".to_owned()]));
}

#[test]
fn takes_no_secret_twice_and_names_the_file_that_is_missing() {
    let place = Place::on_sqlite().with("TOKEND__KEYS__MASTER_KEY_FILE", "none");
    let name = "keys.master_key_file (from TOKEND__KEYS__MASTER_KEY_FILE): can't be read";
    assert_says(&refused(&place), &[name]);
    let place = place.with("TOKEND__KEYS__MASTER_KEY", "x");
    let faults = place.run(&[]).faults();
    assert!(faults.iter().any(|fault| fault.contains("must not be set beside")), "{faults:?}");
}

#[test]
fn serves_no_tls_and_says_so() {
    let ended = Place::on_sqlite().run(&["rest", "--upstream", "https://127.0.0.1:1"]);
    assert_says(&ended.sentence(), &["https:// is not served here: put a TLS proxy before"]);
}

#[test]
fn says_whom_a_healthcheck_did_not_reach() {
    let place = Place::on_sqlite();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}");
    let by_http = place.run(&["healthcheck", "--management", &url]).sentence();
    assert_eq!(by_http, format!("the server at {nobody} can't be reached"));
    let by_grpc = place.run(&["healthcheck", "--server", &url]).sentence();
    assert_eq!(by_grpc, format!("the server at {url}/ can't be reached"));
}

#[test]
fn answers_a_wrong_command_line_with_help_and_another_exit_code() {
    let Ended { code, stdout, stderr } = Place::on_sqlite().run(&["serv"]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr[0].contains("serv"), "{stderr:?}");
}
