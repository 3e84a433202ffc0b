//! How a token's secret is written and read. What is forged is refused here, without a database.

pub mod jwt;
pub mod opaque;
