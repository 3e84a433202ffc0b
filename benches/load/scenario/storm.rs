//! Checks while so many sign in that all threads that hash are busy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Stage, per_mille};
use crate::figures::{Short, Unit};
use crate::generator::{self, Load, Slice, Span};
use crate::report::{Bar, Row};
use crate::server::Process;
use crate::{Result, fail};

/// The checks: so few that they don't wait for one another.
const CHECKS: Load = Load { connections: 8, streams: 1 };
/// The sign-ins: many times as many as are hashed at once. Each goes on as one user, for too many at
/// once of one user would look like guesses.
const SIGN_INS: Load = Load { connections: 2, streams: 16 };

pub(super) fn run(stage: &Stage) -> Result<Vec<Row>> {
    let (_place, server) = stage.server()?;
    let checks = stage.people.checks(&stage.tokens)?;
    stage.each(&server, &checks)?;
    let idle = || stage.drive_with(&server, CHECKS, &|number| checks.drawn(number));
    let mut hashes = 0.0;
    let (quiet, stormy) = stage.rounds(idle, || {
        let (slice, sign_ins) = in_storm(stage, &server, idle)?;
        hashes = sign_ins.calls_per_second();
        Ok(slice)
    })?;
    let (stormy, quiet) = (per_mille(&stormy, 990), per_mille(&quiet, 990));
    let operation = "Authorize, p99 during a storm of sign-ins";
    let figures = (&stormy[..], "its p99 idle", &quiet[..]);
    let row = Row::compared(operation, Bar::AtMost(2.0), Unit::Micros, figures)?;
    Ok(vec![row.noting(format!("{} sign-ins a second meanwhile", Short(hashes)))])
}

/// Does it while the storm goes on.
fn in_storm(
    stage: &Stage,
    server: &Process,
    work: impl Fn() -> Result<Slice>,
) -> Result<(Slice, Slice)> {
    let sign_ins = stage.people.sign_ins("operation", stage.options.size.users)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let storm = scope.spawn(|| {
            generator::drive(server, SIGN_INS, Span::Until(&over), &|number| sign_ins.own(number))
        });
        // Until the queue is full, and what the storm began with is behind it.
        thread::sleep(stage.options.slice / 4);
        let slice = work();
        over.store(true, Ordering::Relaxed);
        let storm = storm.join().unwrap_or_else(|_| fail("the storm panicked"));
        Ok((slice?, storm?))
    })
}
