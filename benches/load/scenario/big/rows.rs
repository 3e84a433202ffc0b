//! A database with very many rows, most of them dead, against one with few.

use super::fill;
use crate::figures::{Unit, now};
use crate::generator::Load;
use crate::options::Options;
use crate::people::took;
use crate::report::{Bar, Row};
use crate::scenario::{Stage, cpu, per_mille, rates, times};
use crate::server::Process;
use crate::{Result, tell};

/// Few enough that one does not wait for another.
const ALONE: Load = Load { connections: 4, streams: 1 };

pub(in crate::scenario) fn run(options: &Options) -> Result<Vec<Row>> {
    let mut options = options.clone();
    // With the rows of the users' own and refresh tokens, about a thousand.
    options.size.users = options.size.users.min(100);
    options.size.tokens = options.size.tokens.min(300);
    let stage = Stage::set(&options)?;
    let (_few, small) = stage.server()?;
    let many = stage.place()?;
    let begun = now();
    fill::add_tokens(&many.database(), options.rows)?;
    tell(&format!("{} rows: {}", options.rows, took(begun.elapsed())));
    let large = many.start()?;
    let mut rows = vec![authorize(&stage, &large, &small)?, create(&stage, &large, &small)?];
    rows.extend(while_removing(&stage, &large, &small)?);
    Ok(rows)
}

fn authorize(stage: &Stage, large: &Process, small: &Process) -> Result<Row> {
    let checks = stage.people.checks(&stage.tokens)?;
    let first = (stage.each(large, &checks)?, stage.each(small, &checks)?);
    let draw = |number| checks.drawn(number);
    let (ours, few) = stage.rounds(|| stage.drive(large, &draw), || stage.drive(small, &draw))?;
    let figures = (&cpu(&ours)[..], "at 10³ rows", &cpu(&few)[..]);
    let operation = format!("Authorize at {} rows, 90 % dead", stage.options.rows);
    Ok(Row::compared(&operation, Bar::AtLeast(0.9), Unit::CpuMicros, figures)?
        .noting(times("first check of each token", &[first.0]))
        .noting(times("the same at 10³ rows", &[first.1])))
}

fn create(stage: &Stage, large: &Process, small: &Process) -> Result<Row> {
    let creates = stage.people.creates("operation")?;
    let draw = |number| creates.drawn(number);
    let (ours, few) = stage.rounds(|| stage.drive(large, &draw), || stage.drive(small, &draw))?;
    let figures = (&rates(&ours)[..], "at 10³ rows", &rates(&few)[..]);
    let operation = format!("CreateToken at {} rows, 90 % dead", stage.options.rows);
    Ok(Row::compared(&operation, Bar::AtLeast(0.9), Unit::CallsPerSecond, figures)?
        .noting(times("many rows", &ours))
        .noting(times("few rows", &few)))
}

/// Checks and new tokens, few at once, while dead rows are removed as they are all the time.
fn while_removing(stage: &Stage, large: &Process, small: &Process) -> Result<Vec<Row>> {
    let checks = stage.people.checks(&stage.tokens)?;
    let creates = stage.people.creates("operation")?;
    let mut rows = Vec::new();
    for (name, calls) in [("Authorize", checks), ("CreateToken", creates)] {
        let draw = |number| calls.drawn(number);
        let before = (large.tokens_removed()?, now());
        let (ours, few) = stage.rounds(
            || stage.drive_with(large, ALONE, &draw),
            || stage.drive_with(small, ALONE, &draw),
        )?;
        let removed = large.tokens_removed()? - before.0;
        let rate = removed / before.1.elapsed().as_secs().max(1);
        for (share, which, bar) in [(500, "p50", 1.1), (990, "p99", 2.0)] {
            let operation = format!("{name}, {which} at as many rows, dead ones being removed");
            let figures =
                (&per_mille(&ours, share)[..], "at 10³ rows", &per_mille(&few, share)[..]);
            let row = Row::compared(&operation, Bar::AtMost(bar), Unit::Micros, figures)?;
            rows.push(row.noting(format!("{rate} dead tokens removed in a second")));
        }
    }
    Ok(rows)
}
