//! The listeners.

pub mod http;
pub mod management;
