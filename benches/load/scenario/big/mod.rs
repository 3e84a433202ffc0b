//! What takes many minutes: many rows, memory, start.

pub(super) mod memory;
pub(super) mod rows;
