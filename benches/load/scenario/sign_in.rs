//! Tokens by password: a hash, and little else.

use super::{Stage, cpu, times};
use crate::figures::Unit;
use crate::generator::{self, Load, Span};
use crate::report::{Bar, Row};
use crate::{Result, bounds, machine};

/// About how many hashes a core makes in a second.
const HASHES: u128 = 50;

pub(super) fn run(stage: &Stage) -> Result<Vec<Row>> {
    let (_place, server) = stage.server()?;
    let threads = machine::cores()?;
    let time = stage.options.slice;
    // So many and no more, for a hash that is cut in two by the end of a slice would count for
    // nothing and cost something.
    let count = threads * usize::try_from(time.as_millis() * HASHES / 1000)?.max(2);
    let calls = stage.people.sign_ins("operation", count)?;
    // Enough that no thread that hashes ever waits for the next one.
    let load = Load { connections: 1, streams: 4 * threads };
    let (ours, bound) = stage.rounds(
        || generator::drive(&server, load, Span::ToTheEnd, &calls.once()),
        || bounds::argon2(time / 2, threads),
    )?;
    let figures = (&cpu(&ours)[..], "Argon2id alone", &bound[..]);
    let (operation, bar) = ("CreateToken by password", Bar::AtLeast(0.95));
    let row = Row::compared(operation, bar, Unit::CpuMicros, figures)?;
    Ok(vec![row.noting(times("ours", &ours))])
}
