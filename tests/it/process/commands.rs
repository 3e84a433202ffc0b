//! The commands beside `serve`.

use serde_json::Value;

use super::{Place, SERVING, http};

#[test]
fn shows_the_settings_in_force_and_no_secret() {
    let key = "S2Vlcc8Txk1LJhfRN3yZ0aVmP5uQeB7wGdHoIi94CtM=";
    let place = Place::on_sqlite()
        .with("TOKEND__KEYS__MASTER_KEY", key)
        .with("TOKEND__BOOTSTRAP__PASSWORD", "chosen by hand")
        .with("TOKEND__GRPC__LISTEN", "127.0.0.1:5");
    place.write("tokend.toml", "[grpc]\nlisten = '127.0.0.1:4'\nreflection = false\n");
    let shown = place.run(&["--set", "rest.max_connections=7", "config", "show"]).ok();
    for line in
        ["listen = \"127.0.0.1:5\"", "reflection = false", "max_connections = 7", "[hidden]"]
    {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(!shown.contains(key) && !shown.contains("chosen by hand"), "{shown}");
    assert_eq!(place.run(&["config", "check"]).ok(), "the settings are valid\n");
}

#[test]
fn takes_what_it_shows_as_settings() {
    let shown = Place::on_sqlite().run(&["config", "show"]).ok();
    let again = Place::on_sqlite();
    again.write("shown.toml", &shown);
    assert_eq!(again.run(&["--config", "shown.toml", "config", "show"]).ok(), shown);
}

#[test]
fn writes_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Place::on_sqlite().run(&["completions", shell]).ok();
        assert!(script.contains("healthcheck"), "{shell}");
    }
}

#[test]
fn migrates_as_often_as_it_is_asked_to() {
    let place = Place::new();
    for _ in 0..2 {
        assert_eq!(place.run(&["migrate"]).ok(), "");
    }
    let mut server = place.serve();
    assert!(!server.welcome().password().is_empty());
}

#[test]
fn says_that_a_server_is_ready() {
    let place = Place::new();
    let server = place.serve();
    for (flag, listener) in [("--server", "grpc"), ("--management", "management")] {
        let ended = place.run(&["healthcheck", flag, &server.url(listener)]);
        assert_eq!((ended.ok().as_str(), flag), ("", flag));
    }
    // As a container's health check does: by the settings alone.
    let address = server.address("management");
    assert_eq!(place.with("TOKEND__MANAGEMENT__LISTEN", address).run(&["healthcheck"]).ok(), "");
    assert_eq!(server.stop().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_probes_with_metrics_and_its_version() {
    let place = Place::new();
    let server = place.serve();
    let get = async |path: &str| {
        let url = format!("{}{path}", server.url("management"));
        let answer = http().get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(get("/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(get("/readyz").await, (200, "ok\n".to_owned()));
    assert!(get("/version").await.1.contains(env!("CARGO_PKG_VERSION")));
    assert_eq!(get("/metrics").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn speaks_a_dialect_in_a_process_of_its_own() {
    let place = Place::new();
    let mut server = place.serve();
    let password = server.welcome().password();
    let elsewhere = Place::on_sqlite();
    let mut shim = elsewhere.start(&["rest", "--upstream", &server.url("grpc")], "");
    let address = shim.wait_for(SERVING).split_once("rest=").unwrap().1.to_owned();

    let (client, url) = (http(), format!("http://{address}/tokens"));
    let made = client.post(&url).basic_auth("admin", Some(&password)).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let made: Value = serde_json::from_str(&made.text().await.unwrap()).unwrap();
    let token = made["token"].as_str().unwrap();
    let check = ["token", "check", "--permission", "orders:read", "--output", "json"];
    let answer = place.run_with(&check, token).json();
    let said = (&answer["decision"], &answer["token"]["profile"]);
    assert_eq!(said, (&"allow".into(), &"azion".into()));
    let delete = client.delete(format!("{url}/{token}")).basic_auth("admin", Some(&password));
    assert_eq!(delete.send().await.unwrap().status(), 204);
    assert_eq!(place.run_with(&check, token).code, Some(3));

    assert!(elsewhere.names().is_empty(), "the shim needs no database");
    server.kill();
    let late = client.post(&url).basic_auth("admin", Some(&password)).send().await.unwrap();
    assert_eq!(late.status(), 503);
    assert_eq!(shim.stop().code, Some(0));
}
