//! What takes many minutes: many rows, memory, start.

mod fill;
pub(super) mod memory;
pub(super) mod rows;
