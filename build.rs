//! Turns `proto/` into Rust, and into the descriptor that reflection serves. Needs no protoc.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message as _;

const FILES: [&str; 6] = [
    "tokend/v1/audit_service.proto",
    "tokend/v1/directory_service.proto",
    "tokend/v1/error.proto",
    "tokend/v1/key_service.proto",
    "tokend/v1/maintenance_service.proto",
    "tokend/v1/token_service.proto",
];

/// What holds a password or a token: `src/pb.rs` writes its `Debug`, so that no log can show it.
/// A message's oneofs go with it.
const WITH_SECRETS: [&str; 8] = [
    ".tokend.v1.AuthorizeRequest",
    ".tokend.v1.CreateTokenRequest",
    ".tokend.v1.CreateUserRequest",
    ".tokend.v1.IssuedToken",
    ".tokend.v1.PasswordCredential",
    ".tokend.v1.RefreshOperationTokenRequest",
    ".tokend.v1.RevokeTokenRequest",
    ".tokend.v1.SetPasswordRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let files = protox::compile(FILES, ["proto"])?;
    fs::write(out.join("tokend_descriptor.bin"), files.encode_to_vec())?;
    tonic_prost_build::configure().skip_debug(WITH_SECRETS).compile_fds(files)?;
    Ok(())
}
