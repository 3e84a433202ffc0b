//! `tokend key`: keys that sign tokens.

use clap::Subcommand;

use super::context::{Context, part};
use super::error::Error;
use super::output::View as _;
use crate::pb;

/// What is done with signing keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Lists the keys, newest first
    List {
        /// Only this profile's
        #[arg(long, default_value = "", hide_default_value = true)]
        profile: String,
    },
    /// Puts a new key in the place of the one that signs
    ///
    /// The old one goes on verifying while its tokens live: nobody notices.
    Rotate {
        /// The profile [default: operation]
        #[arg(long, default_value = "", hide_default_value = true)]
        profile: String,
    },
    /// Ends a key at once: every token that it signed is refused
    ///
    /// For a key that has leaked. Where it signs for its profile, a new one takes its place.
    Retire {
        /// The key's id, as `tokend key list` shows it
        #[arg(value_name = "KID")]
        id: String,
    },
}

pub(super) async fn run(command: KeyCommand, context: &mut Context<'_>) -> Result<(), Error> {
    match command {
        KeyCommand::List { profile } => list(profile, context).await,
        KeyCommand::Rotate { profile } => rotate(profile, context).await,
        KeyCommand::Retire { id } => retire(id, context).await,
    }
}

async fn list(profile: String, context: &mut Context<'_>) -> Result<(), Error> {
    let request = context.request(pb::ListSigningKeysRequest { profile });
    let answer = context.upstream.keys.list_signing_keys(request).await?.into_inner();
    Ok(context.printer.list(&answer.keys)?)
}

async fn rotate(profile: String, context: &mut Context<'_>) -> Result<(), Error> {
    let request = context.request(pb::RotateSigningKeyRequest { profile, skip_wait: false });
    let answer = context.upstream.keys.rotate_signing_key(request).await?.into_inner();
    let key = part(answer.key, "the key")?;
    let sentence = format!("The key {} signs for the profile {} from now on", key.id, key.profile);
    Ok(context.printer.done(&sentence, &key.json())?)
}

async fn retire(key_id: String, context: &mut Context<'_>) -> Result<(), Error> {
    let request = context.request(pb::RetireSigningKeyRequest { key_id, skip_wait: false });
    let answer = context.upstream.keys.retire_signing_key(request).await?.into_inner();
    let key = part(answer.key, "the key")?;
    let sentence = format!("The key {} is dead, and so is every token that it signed", key.id);
    Ok(context.printer.done(&sentence, &key.json())?)
}
