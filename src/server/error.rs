//! Why a start fails: one clear sentence each.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::Faults;
use crate::domain::error::Error as CoreError;
use crate::grpc::{DescriptorError, ServeError};
use crate::rest::Clash;
use crate::store::OpenError;
use crate::store::lock::LockError;

use super::management::MetricsError;

/// What stands in the way of a start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings are wrong.
    #[error("{0}")]
    Settings(#[from] Faults),
    /// Two dialects claim one path.
    #[error("rest: {0}")]
    Clash(#[from] Clash),
    /// Another process holds the database, or its folder is missing.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no database for the command line to work on.
    #[error("there is no database at {}: start the server once, or run `tokend migrate`", .0.display())]
    NoDatabase(PathBuf),
    /// A port can't be had.
    #[error("{setting}: can't listen at {address}: {cause}")]
    Port {
        /// The setting that names it.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The file of the master key can't be used.
    #[error("the key file {}: {fault}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// No master key is set, and there is no file that could hold it.
    #[error(
        "keys.master_key must be set where the database is on a server, the same for every replica: \
         draw one by `openssl rand -base64 32`"
    )]
    NoMasterKey,
    /// The master key in the settings is none.
    #[error("keys.master_key: {0}")]
    MasterKey(&'static str),
    /// The first user can't be made as the settings ask.
    #[error("{setting}: {fault}")]
    Bootstrap {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The cost of password hashes is absurd.
    #[error("passwords: {0}")]
    HashCost(String),
    /// The server that was asked for can't be reached.
    #[error("the server at {0} can't be reached")]
    Unreachable(String),
    /// The server that was asked is not ready.
    #[error("the server at {0} is not ready")]
    NotReady(String),
    /// TLS is asked for.
    #[error("https:// is not served here: put a TLS proxy before the server, and name http://")]
    NoTls,
    /// The core does not start.
    #[error("{}", core(.0))]
    Core(#[from] CoreError),
    /// The contract that was compiled in is damaged.
    #[error(transparent)]
    Contract(#[from] DescriptorError),
    /// Metrics can't be gathered.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A listener broke off.
    #[error("gRPC can't be served: {0}")]
    Grpc(#[from] ServeError),
    /// The machine refused something.
    #[error("the machine refused: {0}")]
    Machine(#[from] std::io::Error),
}

/// The cause belongs into the sentence here, for it is the operator's own machine; where the fault
/// is internal, it is all that says anything.
fn core(error: &CoreError) -> String {
    if let CoreError::Internal(cause) = error {
        return cause.to_string();
    }
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
