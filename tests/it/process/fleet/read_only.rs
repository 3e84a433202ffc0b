//! A database that takes no writes, or has no room for them: that is said, nothing is half-done, and
//! all goes on by itself once it can.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Resource, Rlimit, getuid, prlimit};
use tempfile::TempDir;
use tokend::client::Upstream;
use tokend::pb;
use tokio::task::block_in_place;
use tonic::Code;

use super::super::Place;
use super::calls::{Answer, admin, bounded, check, create, revoke};
use super::{Fleet, Held, kind, tell};
use crate::support::Kind;
use crate::support::database::own::OwnServer;

/// Memory that is a file system. Dropped, it is gone.
struct Mount(PathBuf);

impl Mount {
    /// `None` where this process may mount none, which it says.
    fn new(test: &str, at: &Path) -> Option<Self> {
        let at = at.to_owned();
        let options = "size=8m,mode=0777";
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at);
        let mounted = getuid().is_root() && mount.output().is_ok_and(|it| it.status.success());
        if !mounted {
            tell(&format!("SKIPPED {test}: it takes one who may mount"));
        }
        mounted.then_some(Self(at))
    }

    fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{options}")]).arg(&self.0);
        assert!(mount.status().unwrap().success());
    }

    /// Leaves no room, until the file that is answered is removed.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

/// What was acknowledged: tokens that live, and those that were ended.
#[derive(Default)]
struct Words {
    live: Vec<String>,
    dead: Vec<String>,
}

impl Words {
    /// Makes two tokens and ends one.
    async fn give(&mut self, upstream: &Upstream) {
        let made = create(upstream, "azion", admin()).await.unwrap().0;
        let ended = create(upstream, "azion", admin()).await.unwrap().0;
        revoke(upstream, &ended).await.unwrap();
        self.live.push(made);
        self.dead.push(ended);
    }

    async fn assert_kept(&self, upstream: &Upstream) {
        for secret in &self.live {
            let answer = check(upstream, secret, &[]).await;
            assert!(matches!(answer, Answer::Allow(_)), "{answer:?}");
        }
        for secret in &self.dead {
            assert!(matches!(check(upstream, secret, &[]).await, Answer::Deny(_)));
        }
    }
}

/// Tries every sort of write, and has each refused as UNAVAILABLE in the contract's words.
async fn refuses_writes(upstream: &Upstream, live: &str) {
    let made = create(upstream, "azion", admin()).await.map(drop);
    let ended = revoke(upstream, live).await;
    let request = pb::CreateTokenRequest { credential: Some(admin()), ..Default::default() };
    let signed_in = bounded(upstream.tokens.clone().create_token(request)).await.map(drop);
    for refused in [made, ended, signed_in] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        assert!(!refused.details().is_empty(), "in nobody's words: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn is_refused_at_the_start_in_a_sentence_and_left_as_it_was() {
    let place = Place::on_sqlite();
    let test = "is_refused_at_the_start_in_a_sentence_and_left_as_it_was";
    let Some(mount) = Mount::new(test, place.folder.path()) else { return };
    let mut server = place.serve();
    let password = server.welcome().password();
    let credential = super::calls::password("admin", &password);
    let secret = create(&server.upstream(), "azion", credential).await.unwrap().0;
    server.stop().ok();
    mount.remount("ro");
    let before = fs::read(place.path("tokend.db")).unwrap();
    let sentence = place.run(&[]).sentence();
    assert!(sentence.contains("tokend.db") && sentence.contains("Read-only"), "{sentence}");
    assert_eq!(fs::read(place.path("tokend.db")).unwrap(), before);
    mount.remount("rw");
    let server = place.serve();
    assert!(matches!(check(&server.upstream(), &secret, &[]).await, Answer::Allow(_)));
    server.stop().ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_what_it_can_t_write_to_a_file_and_goes_on_once_it_can() {
    let held =
        Held::Shared(crate::support::Database::copy(crate::support::template(Kind::Sqlite).await));
    let mut place = super::place(held.url());
    // The file has a key of its own, whichever database this process tests.
    place.environment.retain(|(name, _)| *name != "TOKEND__KEYS__MASTER_KEY");
    let mut shell = Command::new("sh");
    // The signal would end it; ignored, the write fails, as it does on a disk that takes none.
    shell.args(["-euc", "trap '' XFSZ; exec \"$0\"", env!("CARGO_BIN_EXE_tokend")]);
    let mut server = place.start_command(shell, "");
    server.wait_for(super::SERVING);
    let upstream = server.upstream();
    let pid = rustix::process::Pid::from_child(&server.child);
    let mut words = Words::default();
    for round in 0..5 {
        words.give(&upstream).await;
        let whole = prlimit(Some(pid), Resource::Fsize, Rlimit { current: Some(0), maximum: None });
        let whole = whole.unwrap();
        refuses_writes(&upstream, &words.live[0]).await;
        words.assert_kept(&upstream).await;
        prlimit(Some(pid), Resource::Fsize, whole).unwrap();
        // By itself, and what is acknowledged from here on is kept, too.
        words.give(&upstream).await;
        words.assert_kept(&upstream).await;
        assert!(server.child.try_wait().unwrap().is_none(), "{round}");
    }
    server.kill();
    let server = place.serve();
    words.assert_kept(&server.upstream()).await;
    words.give(&server.upstream()).await;
}

/// How a server is told to take no writes, and to take them again.
fn statements(kind: Kind) -> [&'static str; 2] {
    match kind {
        Kind::Sqlite => panic!("SQLite has no server"),
        Kind::Postgres => [
            "REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public FROM tokend",
            "GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO tokend",
        ],
        Kind::Mariadb => ["SET GLOBAL read_only = ON", "SET GLOBAL read_only = OFF"],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_writes_that_a_server_does_not_take_and_goes_on_once_it_does() {
    let test = "refuses_writes_that_a_server_does_not_take_and_goes_on_once_it_does";
    let Some(kind) = kind(test) else { return };
    let held = Held::Own(block_in_place(|| OwnServer::start(kind)));
    let mut fleet = Fleet::start(held, 3, |_, place| place);
    let upstreams = fleet.upstreams();
    let mut words = Words::default();
    let [refuse, admit] = statements(kind);
    for _ in 0..3 {
        words.give(&upstreams[0]).await;
        fleet.held.own().run(refuse);
        for upstream in &upstreams {
            refuses_writes(upstream, &words.live[0]).await;
        }
        fleet.held.own().run(admit);
        recovers(&upstreams, &mut words).await;
    }
    fleet.assert_all_run();
}

/// Waits until every replica writes again, and holds them to what was acknowledged.
async fn recovers(upstreams: &[Upstream], words: &mut Words) {
    let began = tokio::time::Instant::now();
    for upstream in upstreams {
        while create(upstream, "azion", admin()).await.is_err() {
            assert!(began.elapsed() < super::super::PATIENCE, "no recovery");
        }
        words.give(upstream).await;
    }
    for upstream in upstreams {
        words.assert_kept(upstream).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_on_where_a_server_makes_read_only_the_default() {
    let test = "writes_on_where_a_server_makes_read_only_the_default";
    let Some(Kind::Postgres) = kind(test) else { return };
    let held = Held::Own(block_in_place(|| OwnServer::start(Kind::Postgres)));
    let mut fleet = Fleet::start(held, 1, |_, place| place);
    let mut words = Words::default();
    words.give(&fleet.upstreams()[0]).await;
    let server = fleet.held.own();
    server.run("ALTER SYSTEM SET default_transaction_read_only = on");
    server.run("SELECT pg_reload_conf()");
    words.give(&fleet.upstreams()[0]).await;
    // New connections, too.
    fleet.replicas[0].kill();
    fleet.replicas[0].start_again();
    let upstream = fleet.replicas[0].upstream();
    words.give(&upstream).await;
    words.assert_kept(&upstream).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_what_a_server_has_no_room_for_and_goes_on_once_it_has() {
    let test = "refuses_what_a_server_has_no_room_for_and_goes_on_once_it_has";
    let Some(Kind::Postgres) = kind(test) else { return };
    let folder = TempDir::new().unwrap();
    let Some(mount) = Mount::new(test, folder.path()) else { return };
    let held = Held::Own(block_in_place(|| OwnServer::start(Kind::Postgres)));
    let mut fleet = Fleet::start(held, 3, |_, place| place);
    let upstreams = fleet.upstreams();
    let mut words = Words::default();
    words.give(&upstreams[0]).await;
    let space = mount.0.join("space");
    fs::create_dir(&space).unwrap();
    // The server's user, whoever that is.
    fs::set_permissions(&space, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    std::os::unix::fs::chown(&space, Some(65_534), Some(65_534)).unwrap();
    let server = fleet.held.own();
    server.run(&format!("CREATE TABLESPACE small LOCATION '{}'", space.display()));
    for table in ["tokens", "grants", "audit_events", "changes"] {
        server.run(&format!("ALTER TABLE {table} SET TABLESPACE small"));
    }
    words.give(&upstreams[1]).await;
    let filler = mount.fill();
    // The pages that there are may take some more; then none.
    let mut refused = Vec::new();
    for n in 0..5000 {
        match create(&upstreams[n % 3], "azion", admin()).await {
            Ok((secret, _)) => words.live.push(secret),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                assert!(!status.details().is_empty(), "{status:?}");
                refused.push(status);
            }
        }
        if refused.len() == 10 {
            break;
        }
    }
    assert_eq!(refused.len(), 10, "there was room for all");
    for upstream in &upstreams {
        words.assert_kept(upstream).await;
    }
    fs::remove_file(filler).unwrap();
    recovers(&upstreams, &mut words).await;
    fleet.assert_all_run();
}
