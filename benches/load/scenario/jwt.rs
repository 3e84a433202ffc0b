//! Checks of JWTs: each for the first time, and again.

use std::iter;

use super::{Stage, cpu, opaque};
use crate::Result;
use crate::bounds::Signatures;
use crate::figures::{Unit, now};
use crate::generator;
use crate::noop::Answer;
use crate::people::{Setup, took};
use crate::report::{Bar, Row};
use crate::tell;

pub(super) fn run(stage: &Stage) -> Result<Vec<Row>> {
    let place = stage.place()?;
    let mut server = place.start()?;
    let begun = now();
    let setup = Setup { server: &server, load: stage.options.load };
    let jwts = stage.people.tokens(&setup, "operation")?;
    tell(&format!("{} JWTs: {}", jwts.len(), took(begun.elapsed())));
    let calls = stage.people.checks(&jwts)?;
    // Of each user one: what is known of users and roles is not what is asked for.
    let users: Vec<_> = stage.tokens.iter().take(stage.options.size.users).cloned().collect();
    let users = stage.people.checks(&users)?;

    let answer = generator::ask(&server, calls.get(0)?)?;
    let noop = stage.noop(&Answer::Authorize(answer.to_vec()))?;
    let (mut ours, mut bound, mut verify, mut reads) = (vec![], vec![], vec![], 0);
    for _ in 0..stage.options.rounds {
        server.stop()?;
        server = place.start()?;
        stage.each(&server, &users)?;
        let before = server.fact_reads()?;
        ours.push(stage.each(&server, &calls)?);
        reads += server.fact_reads()? - before;
        bound.push(stage.drive(&noop, &|number| calls.drawn(number))?);
        verify.push(Signatures::Ed25519.measure(stage.step())?.verify);
    }
    let bounds: Vec<f64> = iter::zip(cpu(&bound), &verify).map(|(noop, one)| noop + one).collect();
    let figures = (&cpu(&ours)[..], "no-op + 1 verification", &bounds[..]);
    let new = "Authorize, JWT never seen (Ed25519)";
    let seen = ("Authorize, JWT seen before", Bar::AtLeast(0.85));
    Ok(vec![
        opaque::warm(stage, &server, &calls, seen)?,
        Row::compared(new, Bar::AtLeast(0.8), Unit::CpuMicros, figures)?
            .noting(format!("{reads} facts read from the database")),
    ])
}
