//! Checks of opaque tokens: all known, and all forged.

use super::{Stage, cpu, times};
use crate::Result;
use crate::figures::{Short, Unit};
use crate::generator::{self, Slice};
use crate::noop::Answer;
use crate::report::{Bar, Row};
use crate::script::Calls;
use crate::server::Process;

pub(super) fn run(stage: &Stage) -> Result<Vec<Row>> {
    let (_place, server) = stage.server()?;
    let known = stage.people.checks(&stage.tokens)?;
    stage.each(&server, &known)?;
    let forged = stage.people.forgeries(&stage.tokens)?;
    Ok(vec![
        warm(stage, &server, &known, ("Authorize, opaque, warm", Bar::AtLeast(0.9)))?,
        warm(stage, &server, &forged, ("Authorize, forged opaque token", Bar::AtLeast(0.9)))?,
    ])
}

/// Compares checks that read no database with the server that does nothing and answers the same.
pub(super) fn warm(
    stage: &Stage,
    server: &Process,
    calls: &Calls,
    (operation, bar): (&str, Bar),
) -> Result<Row> {
    let answer = generator::ask(server, calls.get(0)?)?;
    let noop = stage.noop(&Answer::Authorize(answer.to_vec()))?;
    let draw = |number| calls.drawn(number);
    let before = server.fact_reads()?;
    let (ours, bound) =
        stage.rounds(|| stage.drive(server, &draw), || stage.drive(&noop, &draw))?;
    let reads = server.fact_reads()? - before;
    let figures = (&cpu(&ours)[..], "no-op", &cpu(&bound)[..]);
    Ok(Row::compared(operation, bar, Unit::CpuMicros, figures)?
        .reading(reads)
        .noting(bytes(&ours))
        .noting(times("ours", &ours))
        .noting(times("no-op", &bound)))
}

fn bytes(slices: &[Slice]) -> String {
    let (request, answer) = slices.last().map_or((0.0, 0.0), Slice::bytes);
    format!("{} bytes a request, {} an answer", Short(request), Short(answer))
}
