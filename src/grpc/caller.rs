//! Where a call comes from, and what proves its caller: the metadata in the domain's words.

use std::net::IpAddr;

use ipnet::IpNet;
use secrecy::ExposeSecret as _;
use tonic::Request;
use tonic::metadata::MetadataMap;

use crate::authorization::Authorization;
use crate::client::{self, InProcess};
use crate::domain::calls::{Credential, FinalNewline, Origin, PasswordCredential};
use crate::domain::error::Error;
use crate::domain::token::Secret;

#[cfg(test)]
mod tests;

/// Which proofs of a caller a call looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// All.
    Any,
    /// Tokens alone: a password counts as nothing, so that it is never hashed.
    Bearer,
    /// None: `authorization` is not even read.
    Unread,
}

/// Reads who calls.
#[derive(Debug)]
pub(super) struct Callers {
    trusted_peers: Vec<IpNet>,
}

impl Callers {
    /// Believes these peers about whom they call for.
    pub(super) const fn new(trusted_peers: Vec<IpNet>) -> Self {
        Self { trusted_peers }
    }

    /// Reads where a call comes from and what proves its caller. The operator of this process needs
    /// no proof.
    ///
    /// # Errors
    /// [`Error::BadCredentials`] where `authorization` was given but can't be read, or more than
    /// once; [`Error::Invalid`] for other metadata that can't be.
    pub(super) fn origin<T>(&self, request: &Request<T>, proof: Proof) -> Result<Origin, Error> {
        let in_process = request.extensions().get::<InProcess>().copied();
        let peer = request.remote_addr().map(|peer| peer.ip().to_canonical());
        let credential = match in_process {
            Some(InProcess::Operator) => Credential::Operator,
            Some(InProcess::Shim) | None => credential(request.metadata(), proof)?,
        };
        let believed = match in_process {
            Some(InProcess::Shim) => true,
            Some(InProcess::Operator) => false,
            None => peer.is_some_and(|peer| self.trusted_peers.iter().any(|t| t.contains(&peer))),
        };
        let named = if believed { client_address(request.metadata())? } else { None };
        Ok(Origin { address: named.or(peer), credential })
    }
}

fn credential(metadata: &MetadataMap, proof: Proof) -> Result<Credential, Error> {
    if proof == Proof::Unread {
        return Ok(Credential::None);
    }
    match (authorization(metadata)?, proof) {
        (Some(Authorization::Bearer(token)), _) => Ok(Credential::Bearer {
            secret: Secret::new(token.expose_secret().to_owned()),
            realm: single(metadata, client::REALM)?.map(str::to_owned),
        }),
        (Some(Authorization::Basic { username, password }), Proof::Any) => {
            Ok(Credential::Password(PasswordCredential {
                realm: single(metadata, client::REALM)?.unwrap_or_default().to_owned(),
                username,
                password,
                final_newline: final_newline(metadata)?,
                profile: single(metadata, client::PROFILE)?.unwrap_or_default().to_owned(),
            }))
        }
        (Some(Authorization::Basic { .. }), Proof::Bearer | Proof::Unread) | (None, _) => {
            Ok(Credential::None)
        }
    }
}

fn authorization(metadata: &MetadataMap) -> Result<Option<Authorization>, Error> {
    let mut values = metadata.get_all("authorization").iter();
    let Some(value) = values.next() else { return Ok(None) };
    // A caller who meant to prove themselves must not go on as nobody.
    if values.next().is_some() {
        return Err(Error::BadCredentials);
    }
    Authorization::parse(value.as_bytes()).map(Some).map_err(|_| Error::BadCredentials)
}

fn final_newline(metadata: &MetadataMap) -> Result<FinalNewline, Error> {
    match single(metadata, client::ACCEPT_FINAL_NEWLINE)? {
        None => Ok(FinalNewline::Keep),
        Some("1") => Ok(FinalNewline::Accept),
        Some(_) => Err(Error::field(client::ACCEPT_FINAL_NEWLINE, "must be 1 where it is set")),
    }
}

fn client_address(metadata: &MetadataMap) -> Result<Option<IpAddr>, Error> {
    let Some(text) = single(metadata, client::CLIENT_ADDRESS)? else { return Ok(None) };
    let address: IpAddr =
        text.parse().map_err(|_| Error::field(client::CLIENT_ADDRESS, "must be an IP address"))?;
    Ok(Some(address.to_canonical()))
}

/// Answers the value of a key that may be given once.
fn single<'a>(metadata: &'a MetadataMap, key: &str) -> Result<Option<&'a str>, Error> {
    let mut values = metadata.get_all(key).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Error::field(key, "must be given once"));
    }
    value.to_str().map(Some).map_err(|_| Error::field(key, "must be ASCII"))
}
