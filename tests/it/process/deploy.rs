//! What is handed to those who run tokend in containers: the compose files, the image, the proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokend::client::{CLIENT_ADDRESS, Upstream};
use tokend::config::Settings;
use tokend::pb;
use tonic::Request;
use tonic::transport::Endpoint;

use super::{Place, Running, shell};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const FILES: [&str; 2] = ["docker-compose.yml", "docker-compose.sqlite.yml"];

/// Where a container finds its secrets.
const SECRETS: &str = "/run/secrets/";

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

/// What a compose file says of one service: the lines below each key.
#[derive(Debug, Default)]
struct Service(BTreeMap<String, Vec<String>>);

impl Service {
    fn lines(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    fn environment(&self) -> Vec<(String, String)> {
        let lines = self.lines("environment").iter();
        lines.map(|line| pair(line, ": ").expect("a variable and its value")).collect()
    }

    fn has_secret(&self, name: &str) -> bool {
        self.lines("secrets").contains(&format!("source: {name}"))
    }
}

fn pair(line: &str, between: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(between)?;
    Some((name.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
}

/// Reads the services as compose itself understands the file, those of all profiles.
fn services(file: &str) -> BTreeMap<String, Service> {
    let script = format!("cd '{ROOT}' && docker-compose --profile split -f {file} config");
    let text = shell::run(&format!("unset TOKEND_PUBLIC_URL TOKEND_COMMIT\n{script}"));
    let (_, text) = text.split_once("services:\n").unwrap();
    let (mut services, mut service, mut key) = (BTreeMap::new(), String::new(), String::new());
    for line in text.lines().take_while(|line| line.starts_with(' ')) {
        let word = line.trim_start();
        let depth = line.len() - word.len();
        let item = word.trim_start_matches("- ").to_owned();
        match (depth, pair(&format!("{item} "), ":")) {
            (2, Some((name, _))) => {
                services.insert(name.clone(), Service::default());
                service = name;
            }
            (4, Some((name, value))) if item == word => {
                let value = value.trim().trim_matches('"').to_owned();
                services.get_mut(&service).unwrap().0.insert(name.clone(), vec![value]);
                key = name;
            }
            (_, _) => {
                services.get_mut(&service).unwrap().0.get_mut(&key).unwrap().push(item);
            }
        }
    }
    for service in services.values_mut() {
        service.0.values_mut().for_each(|lines| lines.retain(|line| !line.is_empty()));
    }
    services
}

/// What the image sets for all that run in it.
fn environment_of_image() -> Vec<(String, String)> {
    let words = read("Dockerfile");
    let set = words.split_whitespace().filter(|word| word.starts_with("TOKEND__"));
    set.map(|word| pair(word, "=").unwrap()).collect()
}

fn make_secrets(place: &Place) -> String {
    shell::run(&format!("{ROOT}/scripts/make-secrets {}", place.path("secrets").display()))
}

/// Has the secrets as they are for tokend where the engine mounted them: nobody else's.
fn hand_over_secrets(place: &Place) {
    shell::run(&format!("chmod 400 {}/*", place.path("secrets").display()));
}

/// Checks the settings of a service, as the image and the compose file give them.
fn check_settings(place: &Place, name: &str, service: &Service) {
    let mut environment: BTreeMap<_, _> = environment_of_image().into_iter().collect();
    environment.extend(service.environment());
    for (variable, value) in &mut environment {
        if let Some(secret) = value.strip_prefix(SECRETS) {
            assert!(service.has_secret(secret), "{name} has no {secret} for {variable}");
            *value = place.path("secrets").join(secret).display().to_string();
        }
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokend"));
    command.args(["config", "check"]).current_dir(place.folder.path());
    command.env_clear().envs(environment);
    let said = Running::start(command, "").ended().ok();
    assert_eq!(said, "the settings are valid\n", "{name}");
}

#[test]
fn gives_each_container_settings_that_it_starts_with() {
    if !shell::has(&["docker-compose"], "gives_each_container_settings_that_it_starts_with") {
        return;
    }
    let place = Place::new();
    make_secrets(&place);
    hand_over_secrets(&place);
    let mut checked = Vec::new();
    for (name, service) in FILES.into_iter().flat_map(services) {
        if service.lines("image") == ["tokend:latest"] {
            check_settings(&place, &name, &service);
            checked.push(name);
        }
    }
    assert_eq!(checked, ["migrate", "rest", "tokend-1", "tokend-2", "tokend-3", "tokend"]);
}

#[test]
fn lets_no_container_do_more_than_it_must() {
    if !shell::has(&["docker-compose"], "lets_no_container_do_more_than_it_must") {
        return;
    }
    for (name, service) in FILES.into_iter().flat_map(services) {
        assert_eq!(service.lines("read_only"), ["true"], "{name}");
        assert_eq!(service.lines("cap_drop"), ["ALL"], "{name}");
        assert_eq!(service.lines("security_opt"), ["no-new-privileges:true"], "{name}");
        assert!(service.lines("privileged").is_empty() && service.lines("cap_add").is_empty());
        let published = service.lines("ports").iter();
        assert!({ published }.all(|port| port.starts_with("127.0.0.1:")), "{name}");
    }
}

#[test]
fn gives_each_server_the_time_that_its_stop_takes() {
    if !shell::has(&["docker-compose"], "gives_each_server_the_time_that_its_stop_takes") {
        return;
    }
    // What they are where no terminal is near.
    let stop = Duration::from_secs(5) + Settings::default().shutdown.grace;
    for (name, service) in FILES.into_iter().flat_map(services) {
        if service.lines("image") == ["tokend:latest"] && service.lines("command") != ["migrate"] {
            let given = service.lines("stop_grace_period").concat();
            let given = humantime::parse_duration(&given).unwrap();
            assert!(given > stop, "{name}: {given:?}");
        }
    }
}

#[test]
fn makes_secrets_once() {
    let place = Place::new();
    let names = ["admin_password", "database_password", "database_url", "master_key"];
    let all = || names.map(|name| fs::read_to_string(place.path("secrets").join(name)).unwrap());
    assert_eq!(make_secrets(&place).lines().count(), names.len());
    let made = all();
    assert_eq!((make_secrets(&place).as_str(), all()), ("", made.clone()));
    let [admin, password, url, _] = made;
    assert_ne!(admin, password);
    assert_eq!(url, format!("postgres://tokend:{password}@postgres:5432/tokend"));
    let found = shell::run(&format!("stat -c %a {}", place.path("secrets").display()));
    assert_eq!(found, "700\n");
}

#[test]
fn hands_the_builder_what_a_build_reads_and_nothing_else() {
    let place = Place::new();
    let dockerfile = read("Dockerfile");
    let copied = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY "));
    let copied = copied.filter(|words| !words.starts_with("--from=")).flat_map(|words| {
        let (sources, _) = words.rsplit_once(' ').unwrap();
        sources.split(' ')
    });
    let copied: BTreeSet<_> = copied.collect();
    let ignored = read(".dockerignore");
    let admitted: BTreeSet<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignored.lines().any(|line| line == "*"));
    assert_eq!(copied, admitted);
    for source in copied {
        shell::run(&format!("cp -r '{ROOT}/{source}' '{}'", place.folder.path().display()));
    }
    // Cargo finds all that the manifests name.
    let metadata = "metadata --no-deps --locked --offline --format-version 1";
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(metadata.split(' ')).current_dir(place.folder.path());
    Running::start(cargo, "").ended().ok();
}

/// Where the proxy takes calls of the dialects, in its place.
pub(super) const REST_SOCKET: &str = "rest.socket";

/// The proxy as `deploy/haproxy.cfg` has it, with these servers in the place of the replicas.
pub(super) struct Proxy {
    child: Child,
    pub(super) grpc: String,
}

impl Proxy {
    /// Starts it before so many servers, which take turns in the places of three.
    pub(super) fn start(place: &Place, servers: &[&Running]) -> Self {
        Self::start_with(place, servers, |text| text)
    }

    /// The same, with what `change` makes of its file.
    pub(super) fn start_with(
        place: &Place,
        servers: &[&Running],
        change: impl FnOnce(String) -> String,
    ) -> Self {
        // The listener is handed over open, so that its port is known beforehand.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let grpc = format!("http://{}", listener.local_addr().unwrap());
        let mut text = read("deploy/haproxy.cfg");
        let replicas = (1..=3).zip(servers.iter().cycle()).flat_map(|(number, server)| {
            let management = server.address("management");
            let (_, port) = management.rsplit_once(':').unwrap();
            let place = |listener| format!(" {} port {port}", server.address(listener));
            let name = |port: u16| format!(" tokend-{number}:{port}");
            [(name(50051), place("grpc")), (name(8080), place("rest"))]
        });
        let own = [
            ("bind :50051".to_owned(), "bind fd@0".to_owned()),
            ("bind :8080".to_owned(), format!("bind unix@{REST_SOCKET}")),
            ("bind 10.215.81.2:50052".to_owned(), "bind unix@shim.socket".to_owned()),
            // Played by nobody: it is down.
            (" rest:8080 port 8080".to_owned(), " 127.0.0.1:1 port 1".to_owned()),
            (" port 9090".to_owned(), String::new()),
        ];
        for (theirs, ours) in own.into_iter().chain(replicas) {
            assert!(text.contains(&theirs), "{theirs}");
            text = text.replace(&theirs, &ours);
        }
        place.write("haproxy.cfg", &change(text));
        let mut command = Command::new("haproxy");
        command.args(["-db", "-f", "haproxy.cfg"]).current_dir(place.folder.path());
        command.stdin(Stdio::from(OwnedFd::from(listener)));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().unwrap(), grpc }
    }

    /// Calls from an address of this machine.
    pub(super) fn upstream(&self, from: [u8; 4]) -> Upstream {
        let endpoint = Endpoint::from_shared(self.grpc.clone()).unwrap();
        Upstream::remote(endpoint.local_address(Some(IpAddr::from(from))).connect_lazy())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn lets_no_client_name_its_own_address_through_the_proxy() {
    if !shell::has(&["haproxy"], "lets_no_client_name_its_own_address_through_the_proxy") {
        return;
    }
    let place = Place::new()
        .with("TOKEND__GRPC__TRUSTED_PEERS", "127.0.0.1/32")
        .with("TOKEND__BOOTSTRAP__PASSWORD", "the admin's own");
    let server = place.serve();
    let proxy = Proxy::start(&place, &[&server]);
    let credential = pb::PasswordCredential {
        username: "admin".to_owned(),
        password: "the admin's own".to_owned(),
        ..Default::default()
    };
    let request = pb::CreateTokenRequest {
        credential: Some(pb::create_token_request::Credential::Password(credential)),
        ..Default::default()
    };
    let mut call = Request::new(request);
    call.metadata_mut().insert(CLIENT_ADDRESS, "203.0.113.9".parse().unwrap());
    let made = proxy.upstream([127, 0, 0, 2]).tokens.create_token(call).await.unwrap();
    let admin = made.into_inner().token.unwrap().secret;

    let mut ask = Request::new(pb::ListAuditEventsRequest::default());
    ask.metadata_mut().insert("authorization", format!("Bearer {admin}").parse().unwrap());
    let events = server.upstream().audit.list_audit_events(ask).await.unwrap().into_inner();
    let event = events.events.iter().find(|event| event.action == "token.create").unwrap();
    assert_eq!(event.client_address, "127.0.0.2");
}

#[test]
fn names_the_addresses_of_the_containers_in_the_proxy() {
    let compose = read("docker-compose.yml");
    let proxy = read("deploy/haproxy.cfg");
    let words = proxy.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    let addresses: Vec<_> = words.filter(|word| word.starts_with("10.")).collect();
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    for address in addresses {
        assert!(compose.contains(&format!("ipv4_address: {address}\n")), "{address}");
    }
}
