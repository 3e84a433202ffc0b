//! Attacks that must come to nothing. `docs/SECURITY.md` names the test of each.

mod cpu;
mod dead_rows;
mod forged;
mod framing;
mod guesses;
mod kinds;
mod messages;
mod own_keys;
mod passwords;
mod paths;
mod raw;
