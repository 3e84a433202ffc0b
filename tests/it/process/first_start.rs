//! The first start, and what it says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokend::pb;

use super::{Place, http, shell};

#[test]
fn shows_the_first_password_once_with_lines_to_try() {
    let place = Place::new();
    let mut first = place.serve();
    let welcome = first.welcome();
    let password = welcome.password();
    assert!(password.len() >= 20, "{password}");
    for line in ["curl ", "grpcurl ", "buf curl "] {
        assert!(welcome.line(line).contains(&password), "{line}");
    }
    assert_eq!(first.stop().code, Some(0));

    let mut second = place.serve();
    assert_eq!(second.stdout(), "");
    let ended = second.stop();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
}

#[test]
fn shows_no_password_that_the_operator_chose() {
    let place = Place::new().with("TOKEND__BOOTSTRAP__PASSWORD", "chosen by hand");
    let ended = place.serve().stop();
    assert_eq!(ended.stdout, "");
    assert!(!ended.stderr.join("\n").contains("chosen by hand"));
}

#[test]
fn leaves_files_that_only_their_owner_reads() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::on_sqlite();
    let server = place.serve();
    for name in ["tokend.db", "tokend.db-wal", "tokend.db.key", "tokend.db.lock"] {
        let mode = place.path(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn says_little_and_nothing_of_migrations() {
    let place = Place::new();
    let ended = place.serve().stop();
    let lines: Vec<_> = ended.stderr.iter().map(|line| line.contains("tokend::")).collect();
    assert_eq!(lines, [true; 5], "{ended:#?}");
}

#[test]
fn gives_a_line_for_curl_that_works() {
    if !shell::has(&["curl"], "gives_a_line_for_curl_that_works") {
        return;
    }
    let place = Place::on_sqlite();
    let mut server = place.serve();
    let answer = shell::run(&format!("{} -sS", server.welcome().line("curl ")));
    assert!(answer.starts_with("HTTP/1.1 201 Created"), "{answer}");
    let body: serde_json::Value = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
    assert_eq!(body["token"].as_str().unwrap().len(), 40);
}

#[test]
fn gives_a_line_for_buf_that_works() {
    if !shell::has(&["buf"], "gives_a_line_for_buf_that_works") {
        return;
    }
    let place = Place::on_sqlite();
    let mut server = place.serve();
    let answer = shell::run(&server.welcome().line("buf curl "));
    let body: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(body["token"]["token"]["profile"], "operation");
    assert!(body["refreshToken"]["secret"].is_string());
}

#[test]
fn gives_a_line_for_grpcurl_that_differs_from_the_one_for_buf_in_form_alone() {
    let place = Place::on_sqlite();
    let mut server = place.serve();
    let welcome = server.welcome();
    let (grpcurl, buf) = (welcome.line("grpcurl "), welcome.line("buf curl "));
    let translated = grpcurl
        .replace("grpcurl -plaintext", "buf curl --protocol grpc --http2-prior-knowledge")
        .replace(&format!(" {} ", server.address("grpc")), &format!(" {}/", server.url("grpc")));
    assert_eq!(translated, buf);
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_no_secret_to_the_log() {
    let place = Place::new().with("TOKEND__LOG__LEVEL", "trace");
    let mut server = place.serve();
    let password = server.welcome().password();
    let basic = STANDARD.encode(format!("admin:{password}"));
    let mut secrets = vec![password.clone(), basic.clone(), "not-the-password".to_owned()];

    let mut tokens = server.upstream().tokens;
    let made = tokens.create_token(by_password("admin", &password)).await.unwrap().into_inner();
    let (token, refresh) = (made.token.unwrap().secret, made.refresh_token.unwrap().secret);
    tokens.create_token(by_password("admin", "not-the-password")).await.unwrap_err();
    let request = pb::AuthorizeRequest { token: token.clone(), ..Default::default() };
    tokens.authorize(request).await.unwrap();
    let mut request = tonic::Request::new(pb::GetCallerRequest {});
    let header = format!("Basic {basic}").parse().unwrap();
    request.metadata_mut().insert("authorization", header);
    tokens.get_caller(request).await.unwrap();
    let request =
        pb::RefreshOperationTokenRequest { refresh_token: refresh.clone(), ..Default::default() };
    let fresh = tokens.refresh_operation_token(request).await.unwrap().into_inner();
    secrets.extend([token, refresh, fresh.operation_token.unwrap().secret]);

    let client = http();
    let url = format!("{}/tokens", server.url("rest"));
    let made = client.post(&url).basic_auth("admin", Some(&password)).send().await.unwrap();
    let made: serde_json::Value = serde_json::from_str(&made.text().await.unwrap()).unwrap();
    let azion = made["token"].as_str().unwrap().to_owned();
    for status in [204, 404] {
        let delete = client.delete(format!("{url}/{azion}"));
        let gone = delete.basic_auth("admin", Some(&password)).send().await.unwrap();
        assert_eq!(gone.status(), status);
    }
    secrets.push(azion);

    let log = server.stop().stderr.join("\n");
    assert!(log.contains("TRACE"));
    for (place, secret) in secrets.iter().enumerate() {
        assert!(!log.contains(secret), "secret {place} is in the log");
    }
}

fn by_password(username: &str, password: &str) -> pb::CreateTokenRequest {
    let password = pb::PasswordCredential {
        username: username.to_owned(),
        password: password.to_owned(),
        ..Default::default()
    };
    let credential = Some(pb::create_token_request::Credential::Password(password));
    pb::CreateTokenRequest { credential, ..Default::default() }
}
