//! Refreshes by a token that does not rotate: one verification, one signature, and no write.

use std::iter;

use super::{Stage, cpu, times};
use crate::Result;
use crate::bounds::Signatures;
use crate::figures::Unit;
use crate::generator;
use crate::noop::Answer;
use crate::people::People;
use crate::report::{Bar, Row};
use crate::server::Process;

pub(super) fn run(stage: &Stage) -> Result<Vec<Row>> {
    let (_place, server) = stage.server()?;
    let (fixed, rs256) = (&stage.people.fixed, &stage.people.rs256);
    Ok(vec![
        refresh(stage, &server, fixed, (Signatures::Ed25519, "Refresh, not rotating (Ed25519)"))?,
        refresh(stage, &server, rs256, (Signatures::Rs256, "Refresh, not rotating (RS256-2048)"))?,
    ])
}

fn refresh(
    stage: &Stage,
    server: &Process,
    secrets: &[String],
    (signatures, operation): (Signatures, &str),
) -> Result<Row> {
    let calls = People::refreshes(secrets)?;
    stage.each(server, &calls)?;
    let answer = generator::ask(server, calls.get(0)?)?;
    let noop = stage.noop(&Answer::Refresh(answer.to_vec()))?;
    let draw = |number| calls.drawn(number);
    let (ours, bound) = stage.rounds(
        || stage.drive(server, &draw),
        || Ok((stage.drive(&noop, &draw)?, signatures.measure(stage.step())?)),
    )?;
    let (noops, signing): (Vec<_>, Vec<_>) = bound.into_iter().unzip();
    let bounds: Vec<f64> = iter::zip(cpu(&noops), &signing)
        .map(|(noop, signing)| noop + signing.verify + signing.sign)
        .collect();
    let what = "no-op + 1 verification + 1 signature";
    let figures = (&cpu(&ours)[..], what, &bounds[..]);
    let row = Row::compared(operation, Bar::AtLeast(0.8), Unit::CpuMicros, figures)?;
    Ok(row.noting(times("ours", &ours)))
}
