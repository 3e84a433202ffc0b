//! A new user's story by the command line: on a running server, and on the database alone.

use serde_json::Value;

use super::{Ended, Place};
use crate::support::Kind;

const ALICE: &str = "alice's own password";

/// Who tells the story: which server is asked, how the commands before alice's token sign in, and
/// how she gets it.
struct Teller<'a> {
    place: &'a Place,
    server: &'a [&'a str],
    signed_in: &'a [&'a str],
    make_token: &'a dyn Fn() -> String,
}

impl Teller<'_> {
    fn run(&self, command: &str, input: &str) -> Ended {
        let added = self.signed_in.iter().chain(self.server).copied();
        let words: Vec<_> = command.split(' ').chain(added).collect();
        self.place.run_with(&words, input)
    }

    fn tell(&self) {
        let role = self.run("role put orders-clerk --permission orders:read", "").ok();
        assert_eq!(role, "The role orders-clerk grants: orders:read\n");
        let add = "user add alice --role orders-clerk --password-stdin --output json";
        let user = self.run(add, &format!("{ALICE}\n")).json();
        let field = |name: &str| user.get(name).and_then(Value::as_str);
        assert_eq!((field("username"), field("state")), (Some("alice"), Some("active")));
        let tokens = [(self.make_token)(), (self.make_token)()];
        for token in &tokens {
            assert_eq!(self.check(token, "orders:read"), (0, "allow".into(), None));
            let missing = (3, "deny".into(), Some("missing_permission".into()));
            assert_eq!(self.check(token, "orders:write"), missing);
        }
        let listed = self.run("token list --user alice --state active --output json", "").json();
        assert_eq!(listed.as_array().unwrap().len(), tokens.len(), "{listed}");

        let said = self.run("user disable alice", "").ok();
        assert_eq!(said, "alice is disabled, and all of their tokens have ended\n");
        for token in &tokens {
            let disabled = (3, "deny".into(), Some("disabled_user".into()));
            assert_eq!(self.check(token, "orders:read"), disabled);
        }
        let left = self.run("token list --user alice --state active --output json", "").json();
        assert_eq!(left, serde_json::json!([]));
    }

    /// Checks a token: the exit code, the decision and why not.
    fn check(&self, token: &str, permission: &str) -> (i32, String, Option<String>) {
        let words = ["token", "check", "--permission", permission, "--output", "json"];
        let words: Vec<_> = words.iter().chain(self.server).copied().collect();
        let ended = self.place.run_with(&words, &format!("{token}\n"));
        let code = ended.code.unwrap();
        let answer: Value = serde_json::from_str(&ended.stdout).unwrap();
        let word = |name: &str| answer.get(name)?.as_str().map(str::to_owned);
        (code, word("decision").unwrap(), word("deny_reason"))
    }
}

#[test]
fn lives_a_user_s_life_on_a_running_server() {
    let place = Place::new();
    let mut server = place.serve();
    let place = place.with("TOKEND_PASSWORD", server.welcome().password());
    let url = server.url("grpc");
    let as_alice = |command: &str| {
        let words: Vec<_> = command.split(' ').chain(["--as", "alice", "--server", &url]).collect();
        Place::new().with("TOKEND_PASSWORD", ALICE).run(&words)
    };
    let create = "token create --profile personal --name ci";
    let make_token = || as_alice(create).ok().trim_end().to_owned();
    // A file leads to the server that has it. Behind a database server nobody knows of another.
    let named = ["--server", &url];
    let server = if Kind::of_this_run() == Kind::Sqlite { &[][..] } else { &named };
    Teller { place: &place, server, signed_in: &["--as", "admin"], make_token: &make_token }.tell();

    let sentence = as_alice(create).sentence();
    assert!(sentence.starts_with("you were not signed in: "), "{sentence}");
}

#[test]
fn makes_lists_and_ends_the_personal_tokens_of_a_profile() {
    let place = Place::new();
    place.run(&["migrate"]).ok();
    place.run(&["user", "add", "alice", "--no-password"]).ok();
    let run = |command: &str| {
        let words: Vec<_> = command.split(' ').chain(["--user", "alice"]).collect();
        place.run(&words)
    };
    for (profile, prefix) in [("apinizer-personal", "apnz_"), ("personal", "tkd_")] {
        let create = format!("token create --profile {profile} --name");
        let endless = run(&format!("{create} endless --never --output json")).json();
        let dated = run(&format!("{create} dated --expires 2099-01-31T12:00:00Z"));
        let said = dated.stderr.concat();
        assert!(said.contains("It lives until 2099-01-31T12:00:00Z."), "{said}");
        let dated = dated.ok();
        let brief = run(&format!("{create} brief --ttl 30d")).ok();
        let secret = endless["token"]["secret"].as_str().unwrap();
        let secrets = [secret, dated.trim_end(), brief.trim_end()];
        assert!(secrets.iter().all(|secret| secret.starts_with(prefix)), "{secrets:?}");

        let listed = run(&format!("token list --profile {profile} --output json")).ok();
        assert!(!secrets.iter().any(|secret| listed.contains(secret)), "shown once: {listed}");
        let tokens: Value = serde_json::from_str(&listed).unwrap();
        let fields = |name: &str| -> Vec<&Value> {
            tokens.as_array().unwrap().iter().map(|token| &token[name]).collect()
        };
        assert_eq!(fields("display_name"), ["brief", "dated", "endless"]);
        assert_eq!(fields("profile"), [profile; 3]);
        assert_eq!(fields("expire_time")[1..], [&"2099-01-31T12:00:00Z".into(), &Value::Null]);

        let check = || place.run_with(&["token", "check", "--output", "json"], secret);
        assert_eq!(check().code, Some(0));
        let id = endless["token"]["token"]["id"].as_str().unwrap();
        let other = place.run(&["token", "revoke", id, "--profile", "epilot"]).sentence();
        assert!(other.contains("there is no such token"), "{other}");
        let said = place.run(&["token", "revoke", id, "--profile", profile]).ok();
        assert_eq!(said, "1 token has ended\n");
        let answer: Value = serde_json::from_str(&check().stdout).unwrap();
        assert_eq!(answer["deny_reason"], "revoked_token");
    }
}

#[test]
fn lives_a_user_s_life_on_the_database_alone() {
    let place = Place::new();
    place.run(&["migrate"]).ok();
    let make_token = || {
        let words = ["token", "create", "--profile", "personal", "--name", "ci", "--user", "alice"];
        place.run(&words).ok().trim_end().to_owned()
    };
    Teller { place: &place, server: &[], signed_in: &[], make_token: &make_token }.tell();
}

#[test]
fn tells_an_operator_what_to_do_who_has_no_database() {
    let place = Place::on_sqlite();
    let sentence = place.run(&["user", "list"]).sentence();
    assert!(sentence.starts_with("there is no database at tokend.db: "), "{sentence}");
    assert!(place.names().is_empty());
}

#[test]
fn asks_who_is_there_where_a_server_runs() {
    let place = Place::on_sqlite();
    let _server = place.serve();
    let sentence = place.run(&["user", "list"]).sentence();
    assert!(sentence.starts_with("the server wants to know who you are: "), "{sentence}");
}
