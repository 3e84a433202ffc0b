//! Passwords that can be none: refused before anything is hashed for them.

use prost::Message as _;
use tokend::pb;

use crate::support::World;

/// A request to sign in, with these bytes for a password.
fn sign_in(password: &[u8]) -> Vec<u8> {
    let credential = pb::PasswordCredential {
        username: "admin".to_owned(),
        password: "x".repeat(password.len()),
        ..Default::default()
    };
    let credential = Some(pb::create_token_request::Credential::Password(credential));
    let mut message = pb::CreateTokenRequest { credential, ..Default::default() }.encode_to_vec();
    let found =
        message.windows(password.len()).rposition(|window| window.iter().all(|b| *b == b'x'));
    let at = found.unwrap();
    message[at..at + password.len()].copy_from_slice(password);
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, &message].concat()
}

/// Sends a gRPC message as it stands, and answers its status.
async fn status(world: &World, message: Vec<u8>) -> String {
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let url = world.grpc_url() + "/tokend.v1.TokenService/CreateToken";
    let request =
        client.post(url).header("content-type", "application/grpc").header("te", "trailers");
    let answer = request.body(message).send().await.unwrap();
    // What fails before it has begun has its status in front.
    let status = answer.headers().get("grpc-status").map(|status| status.to_str().unwrap());
    status.unwrap_or_default().to_owned()
}

/// How many sign-ins were judged.
async fn judged(world: &World) -> Vec<String> {
    let metrics = world.management().get("/metrics").send().await.body;
    let lines = metrics.lines().filter(|line| line.starts_with("tokend_signins_total"));
    lines.filter(|line| line.contains("bad")).map(str::to_owned).collect()
}

#[tokio::test]
async fn refuses_a_password_that_is_no_text_or_has_no_end_unhashed() {
    let world = World::start().await;
    let wrong = status(&world, sign_in(b"a wrong one")).await;
    assert_eq!(wrong, "16", "the request is one that is read");
    let before = judged(&world).await;
    for password in
        [&b"\xff\xfe"[..], b"\xc3\x28", b"a\0b", &vec![b'a'; 1025], &vec![b'a'; 1 << 20]]
    {
        let refused = status(&world, sign_in(password)).await;
        assert_eq!(refused, "3", "INVALID_ARGUMENT: {} bytes", password.len());
    }
    assert_eq!(judged(&world).await, before, "one was hashed");
}
