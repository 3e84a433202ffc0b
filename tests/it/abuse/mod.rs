//! Attacks that must come to nothing. `docs/SECURITY.md` names the test of each.

mod cpu;
mod dead_rows;
