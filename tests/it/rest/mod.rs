//! The dialects, each held to its table in `docs/dialects/`: status and body of every row are read
//! from there, and the headers are snapshotted beside.

mod apinizer;
mod azion;
mod epilot;
mod harperdb;
mod magento;
mod magento_soap;
mod table;
