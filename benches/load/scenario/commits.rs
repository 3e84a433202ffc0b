//! Durable writes, many of which share a commit, against the same writes with a commit each.

use super::{Stage, per_mille, rates, times};
use crate::Result;
use crate::figures::Unit;
use crate::generator::{Load, Slice};
use crate::report::{Bar, Row};
use crate::script::Chains;
use crate::server::Process;

const ROTATING: (&str, Bar) = ("Refresh, rotating, 256 at once", Bar::AtLeast(2.0));
const BEARER: (&str, Bar) = ("CreateToken by bearer, 256 at once", Bar::AtLeast(3.0));
const ALONE: (&str, Bar) = ("CreateToken by bearer, alone: p50", Bar::AtMost(1.2));
const SINGLE: &str = "one commit at a time";

pub(super) fn run(stage: &Stage) -> Result<Vec<Row>> {
    if stage.base.setting("database", "group")?.is_none() {
        let why = "this build has no database.group";
        let none = |(operation, bar)| Row::not_measured(operation, bar, why);
        return Ok([ROTATING, BEARER, ALONE].into_iter().map(none).collect());
    }
    let (_place, grouped) = stage.server()?;
    let apart = stage.place()?.with("DATABASE__GROUP", "1");
    let single = apart.start()?;
    let servers = (&grouped, &single);
    let creates = stage.people.creates("operation")?;
    let draw = |number| creates.drawn(number);
    let one = Load { connections: 1, streams: 1 };

    // Each server has its own successors of the same first ones.
    let (ours, theirs) = (Chains::new(&stage.people.chains)?, Chains::new(&stage.people.chains)?);
    let rotated = stage.rounds(
        || stage.drive(&grouped, &|number| ours.of(number)),
        || stage.drive(&single, &|number| theirs.of(number)),
    )?;
    let together = both(stage, servers, stage.options.load, &draw)?;
    let alone = both(stage, servers, one, &draw)?;
    let halves = (per_mille(&alone.0, 500), per_mille(&alone.1, 500));
    Ok(vec![
        faster(ROTATING, &rotated)?,
        faster(BEARER, &together)?,
        Row::compared(ALONE.0, ALONE.1, Unit::Micros, (&halves.0, SINGLE, &halves.1))?,
    ])
}

type Both = (Vec<Slice>, Vec<Slice>);

fn both(
    stage: &Stage,
    (grouped, single): (&Process, &Process),
    load: Load,
    cast: crate::generator::Cast<'_>,
) -> Result<Both> {
    stage.rounds(|| stage.drive_with(grouped, load, cast), || stage.drive_with(single, load, cast))
}

fn faster((operation, bar): (&str, Bar), (ours, single): &Both) -> Result<Row> {
    let figures = (&rates(ours)[..], SINGLE, &rates(single)[..]);
    Ok(Row::compared(operation, bar, Unit::CallsPerSecond, figures)?
        .noting(times("ours", ours))
        .noting(times("alone", single)))
}
