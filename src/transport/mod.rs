//! Connections of every listener, and what one client may take by them: places, time, memory.
//!
//! gRPC, HTTP and the probes all accept, bound and end their connections here.

mod accept;
mod address;
mod admission;
mod body;
mod connection;
mod drive;
pub mod files;
mod io;
mod memory;
mod open;

pub use accept::{Accepted, Incoming};
pub use admission::{Admission, AdmissionLimits, Permit};
pub use body::{BodyTimes, Framing, RequestBody, RequestError};
pub use connection::{Connection, OpenCall};
pub use drive::{Bounds, Protocol, Shutdown, drive};
pub use memory::{Call, NoRoom, RequestMemory};

/// The body of a request as hyper reads it.
pub type RawBody = hyper::body::Incoming;
