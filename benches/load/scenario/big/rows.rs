//! A database with very many rows, most of them dead, against one with few.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::fill;
use crate::figures::{Unit, now};
use crate::generator::{self, Load, Span};
use crate::options::Options;
use crate::people::took;
use crate::report::{Bar, Row};
use crate::scenario::{Stage, cpu, rates, times};
use crate::server::Process;
use crate::{Result, fail, tell};

/// Few enough that one does not wait for another.
const ALONE: Load = Load { connections: 4, streams: 1 };

const ONE: Load = Load { connections: 1, streams: 1 };

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
    rows.extend(while_purging(&stage, &large)?);
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

/// Checks and new tokens while dead rows are removed as fast as they can be.
fn while_purging(stage: &Stage, server: &Process) -> Result<Vec<Row>> {
    let checks = stage.people.checks(&stage.tokens)?;
    let creates = stage.people.creates("operation")?;
    let mut rows = Vec::new();
    for (operation, calls) in [
        ("Authorize, p99 while dead rows are removed", checks),
        ("CreateToken, p99 while dead rows are removed", creates),
    ] {
        let draw = |number| calls.drawn(number);
        let work = || stage.drive_with(server, ALONE, &draw);
        let (purging, idle) = stage.rounds(|| purging(stage, server, work), work)?;
        let p99 = (super::super::per_mille(&purging, 990), super::super::per_mille(&idle, 990));
        let figures = (&p99.0[..], "its p99 without", &p99.1[..]);
        rows.push(
            Row::compared(operation, Bar::AtMost(2.0), Unit::Micros, figures)?
                .noting(times("while rows are removed", &purging))
                .noting(times("without", &idle)),
        );
    }
    Ok(rows)
}

fn purging<T>(stage: &Stage, server: &Process, work: impl Fn() -> Result<T>) -> Result<T> {
    let purge = stage.people.purge()?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let purging =
            scope.spawn(|| generator::drive(server, ONE, Span::Until(&over), &|_| purge.own(0)));
        let done = work();
        over.store(true, Ordering::Relaxed);
        purging.join().unwrap_or_else(|_| fail("the purge panicked"))?;
        done
    })
}
