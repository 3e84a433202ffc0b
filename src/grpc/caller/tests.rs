//! Whom a call is believed to come from.

use std::net::SocketAddr;

use tonic::metadata::{AsciiMetadataKey, MetadataValue};
use tonic::transport::server::TcpConnectInfo;

use super::*;

const BASIC: &str = "Basic YWxpY2U6c2VjcmV0"; // alice:secret

fn request(metadata: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    for (key, value) in metadata {
        let key: AsciiMetadataKey = key.parse().unwrap();
        request.metadata_mut().append(key, MetadataValue::try_from(*value).unwrap());
    }
    request
}

fn from_peer(peer: &str, metadata: &[(&str, &str)]) -> Request<()> {
    let mut request = request(metadata);
    let remote: SocketAddr = peer.parse().unwrap();
    let info = TcpConnectInfo { local_addr: None, remote_addr: Some(remote) };
    request.extensions_mut().insert(info);
    request
}

fn from_process(caller: InProcess, metadata: &[(&str, &str)]) -> Request<()> {
    let mut request = request(metadata);
    request.extensions_mut().insert(caller);
    request
}

fn callers() -> Callers {
    Callers::new(vec!["10.0.0.0/8".parse().unwrap()])
}

fn address(request: &Request<()>) -> Option<String> {
    callers().origin(request, Proof::Any).unwrap().address.map(|address| address.to_string())
}

fn credential(metadata: &[(&str, &str)], proof: Proof) -> Result<Credential, Error> {
    callers().origin(&request(metadata), proof).map(|origin| origin.credential)
}

#[test]
fn ignores_an_address_that_a_stranger_claims() {
    let claim = [(client::CLIENT_ADDRESS, "203.0.113.9"), ("x-forwarded-for", "203.0.113.9")];
    assert_eq!(address(&from_peer("192.0.2.1:5", &claim)).unwrap(), "192.0.2.1");
    assert_eq!(address(&request(&claim)), None);
    assert_eq!(address(&from_process(InProcess::Operator, &claim)), None);
}

#[test]
fn believes_the_shim_and_trusted_peers() {
    let claim = [(client::CLIENT_ADDRESS, "203.0.113.9")];
    assert_eq!(address(&from_peer("10.1.2.3:5", &claim)).unwrap(), "203.0.113.9");
    assert_eq!(address(&from_peer("[::ffff:10.1.2.3]:5", &claim)).unwrap(), "203.0.113.9");
    assert_eq!(address(&from_process(InProcess::Shim, &claim)).unwrap(), "203.0.113.9");
    assert_eq!(address(&from_peer("10.1.2.3:5", &[])).unwrap(), "10.1.2.3");
    assert_eq!(address(&from_process(InProcess::Shim, &[])), None);
}

#[test]
fn refuses_an_address_that_is_none_or_ambiguous() {
    let key = client::CLIENT_ADDRESS;
    for claim in [&[(key, "localhost")][..], &[(key, "203.0.113.9"), (key, "203.0.113.8")]] {
        let origin = callers().origin(&from_process(InProcess::Shim, claim), Proof::Any);
        assert!(matches!(origin, Err(Error::Invalid(_))));
    }
}

#[test]
fn takes_the_operator_from_this_process_alone() {
    let operator = from_process(InProcess::Operator, &[("authorization", "nonsense")]);
    let origin = callers().origin(&operator, Proof::Any).unwrap();
    assert!(matches!(origin.credential, Credential::Operator));
    let shim = from_process(InProcess::Shim, &[]);
    let origin = callers().origin(&shim, Proof::Any).unwrap();
    assert!(matches!(origin.credential, Credential::None));
}

#[test]
fn reads_a_password_with_all_that_belongs_to_it() {
    let metadata = [
        ("authorization", BASIC),
        (client::REALM, "shop"),
        (client::ACCEPT_FINAL_NEWLINE, "1"),
        (client::PROFILE, "azion"),
    ];
    match credential(&metadata, Proof::Any) {
        Ok(Credential::Password(PasswordCredential {
            realm,
            username,
            password,
            final_newline,
            profile,
        })) => {
            assert_eq!((&*realm, &*username), ("shop", "alice"));
            assert_eq!(password.expose_secret(), "secret");
            assert_eq!(final_newline, FinalNewline::Accept);
            assert_eq!(profile, "azion");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn lets_a_token_count_where_a_password_must_not() {
    assert!(matches!(
        credential(&[("authorization", "Bearer t")], Proof::Bearer),
        Ok(Credential::Bearer { secret, realm: None }) if secret.expose() == "t"
    ));
    let basic = credential(&[("authorization", BASIC)], Proof::Bearer);
    assert!(matches!(basic, Ok(Credential::None)));
}

#[test]
fn reads_the_realm_that_a_token_must_be_of() {
    let bearer = ("authorization", "Bearer t");
    assert!(matches!(
        credential(&[bearer, (client::REALM, "shop")], Proof::Bearer),
        Ok(Credential::Bearer { secret: _, realm: Some(realm) }) if realm == "shop"
    ));
    let twice = [bearer, (client::REALM, "shop"), (client::REALM, "shop")];
    assert!(matches!(credential(&twice, Proof::Any), Err(Error::Invalid(_))));
}

#[test]
fn does_not_read_what_it_need_not() {
    for value in [BASIC, "Bearer t", "nonsense"] {
        let credential = credential(&[("authorization", value)], Proof::Unread);
        assert!(matches!(credential, Ok(Credential::None)));
    }
}

#[test]
fn refuses_credentials_that_it_cannot_read() {
    let twice = [("authorization", "Bearer a"), ("authorization", "Bearer a")];
    for metadata in [
        &twice[..],
        &[("authorization", "")],
        &[("authorization", "Basic ???")],
        &[("authorization", "Digest abc")],
    ] {
        let credential = credential(metadata, Proof::Any);
        assert!(matches!(credential, Err(Error::BadCredentials)), "{metadata:?}");
    }
}
