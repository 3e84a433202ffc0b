//! The first start: the first user, and what the operator is told.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::StartError;
use crate::config::Settings;
use crate::domain::Core;
use crate::domain::identity::Username;
use crate::domain::password::Password;
use crate::domain::random::{MachineRandom, Random};
use crate::store::lock::Addresses;

/// What the operator is told once: the first user's password, and lines to try. Shown by
/// [`Self::text`] alone; no log gets it.
pub struct Welcome {
    username: String,
    password: SecretString,
    grpc: SocketAddr,
    rest: Option<String>,
}

impl fmt::Debug for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Welcome")
    }
}

/// Makes the first user where there is none. Answers what to tell of it, where nobody chose the
/// password.
pub(super) async fn first_user(
    core: &Core,
    settings: &Settings,
    addresses: &Addresses,
) -> Result<Option<Welcome>, StartError> {
    let name = &settings.bootstrap.username;
    let username = Username::parse(name)
        .map_err(|fault| StartError::Bootstrap { setting: "bootstrap.username", fault })?;
    let (text, is_chosen) = match &settings.bootstrap.password {
        Some(password) => (password.clone(), true),
        None => (random_password()?, false),
    };
    let password = Password::parse(&text)
        .map_err(|fault| StartError::Bootstrap { setting: "bootstrap.password", fault })?;
    if core.bootstrap(username, password).await?.is_none() {
        return Ok(None);
    }
    tracing::info!(user.name = %name, "the first user is made");
    let rest = addresses.rest.map(|address| match &settings.rest.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", reachable(address)),
    });
    let welcome = Welcome {
        username: name.clone(),
        password: text,
        grpc: reachable(addresses.grpc),
        rest: rest.map(|url| format!("{url}{}", settings.rest.azion.base_path)),
    };
    Ok((!is_chosen).then_some(welcome))
}

/// 144 random bits.
fn random_password() -> Result<SecretString, StartError> {
    let random = MachineRandom::default();
    let bytes = (&random as &dyn Random).bytes::<18>()?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).into())
}

/// Where a listener on every address is reached from this machine.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

impl Welcome {
    /// The name of the first user.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The password and the lines to try.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let Self { username, password, grpc, rest } = self;
        let password = password.expose_secret();
        let curl = rest.as_ref().map(|url| {
            quoted(&["curl", "-i", "-X", "POST", "-u"], |line| {
                line.push(format!("{username}:{password}"));
                line.push(format!("{url}/tokens"));
            })
        });
        let body = serde_json::json!({
            "password": { "username": username, "password": password }
        })
        .to_string();
        let method = "tokend.v1.TokenService/CreateToken";
        let grpcurl = quoted(&["grpcurl", "-plaintext", "-d"], |line| {
            line.extend([body.clone(), grpc.to_string(), method.to_owned()]);
        });
        let buf = ["buf", "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d"];
        let buf = quoted(&buf, |line| {
            line.extend([body.clone(), format!("http://{grpc}/{method}")]);
        });
        let lines = curl.into_iter().chain([grpcurl, buf]).map(|line| format!("  {line}\n"));
        Zeroizing::new(format!(
            "This is the first start. The user {username} may do everything.\n\n  \
             password: {password}\n\nIt is shown this once. To try it:\n\n{}\n",
            lines.collect::<Vec<_>>().concat()
        ))
    }
}

/// A line for a shell: what is not plain stands in single quotes.
fn quoted(start: &[&str], more: impl FnOnce(&mut Vec<String>)) -> String {
    let mut words: Vec<String> = start.iter().map(|word| (*word).to_owned()).collect();
    more(&mut words);
    let is_plain =
        |word: &str| word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:=,+".contains(&b));
    let quote = |word: String| {
        if is_plain(&word) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    words.into_iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_lines_that_a_shell_takes_as_they_are() {
        let welcome = Welcome {
            username: "o'hara".to_owned(),
            password: "p w\"".into(),
            grpc: reachable("0.0.0.0:50051".parse().unwrap()),
            rest: Some("http://127.0.0.1:8080".to_owned()),
        };
        insta::assert_snapshot!(welcome.text().as_str(), @r#"
        This is the first start. The user o'hara may do everything.

          password: p w"

        It is shown this once. To try it:

          curl -i -X POST -u 'o'\''hara:p w"' http://127.0.0.1:8080/tokens
          grpcurl -plaintext -d '{"password":{"username":"o'\''hara","password":"p w\""}}' 127.0.0.1:50051 tokend.v1.TokenService/CreateToken
          buf curl --protocol grpc --http2-prior-knowledge -d '{"password":{"username":"o'\''hara","password":"p w\""}}' http://127.0.0.1:50051/tokend.v1.TokenService/CreateToken
        "#);
    }
}
