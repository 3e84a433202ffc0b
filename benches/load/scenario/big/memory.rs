//! What memory a server takes, and how long it takes to start.

use std::thread;
use std::time::Duration;

use super::fill;
use crate::figures::{Unit, count, float, micros, now};
use crate::options::{Options, TOKENS_OF_A_USER};
use crate::report::{Bar, Row};
use crate::scenario::Stage;
use crate::server::Place;
use crate::{Result, tell};

const MEBIBYTE: f64 = 1024.0 * 1024.0;
/// How long a server is left alone before it is called idle.
const REST: Duration = Duration::from_secs(30);
/// Tokens enough to find all connections and threads at work.
const FEW: usize = 1000;

pub(in crate::scenario) fn run(options: &Options) -> Result<Vec<Row>> {
    let empty = Place::new(options.dir.as_deref())?;
    // The first start makes the tables, and is no start of a server that has run.
    empty.start()?.stop()?;
    let idle = {
        let server = empty.start()?;
        // What the start took is given back by then.
        thread::sleep(if options.smoke { Duration::ZERO } else { REST });
        float(server.resident()?) / MEBIBYTE
    };
    let mut options = options.clone();
    options.size.tokens = options.facts;
    options.size.users = options.size.users.max(options.facts.div_ceil(TOKENS_OF_A_USER));
    let stage = Stage::set(&options)?;
    let mut rows = vec![Row::absolute("Memory, idle", Bar::AtMost(40.0), Unit::Mebibytes, idle)];
    rows.extend(facts(&stage)?);
    rows.push(start(&stage, &empty)?);
    Ok(rows)
}

fn facts(stage: &Stage) -> Result<Vec<Row>> {
    let (_place, server) = stage.server()?;
    let all = stage.people.checks(&stage.tokens)?;
    let few: Vec<_> = stage.tokens.iter().take(FEW).cloned().collect();
    let few = stage.people.checks(&few)?;
    stage.drive(&server, &|number| few.drawn(number))?;
    let before = float(server.resident()?);
    stage.each(&server, &all)?;
    let after = float(server.resident()?);
    let kept = count(all.len().saturating_sub(few.len()));
    let each = (after - before) / float(kept.max(1));
    let reads = server.fact_reads()?;
    stage.each(&server, &all)?;
    let again = server.fact_reads()? - reads;
    let operation = format!("Memory with {} tokens known", all.len());
    Ok(vec![
        Row::absolute("Memory of one token known", Bar::AtMost(256.0), Unit::Bytes, each)
            .noting("with its grant, and with its share of users and roles"),
        Row::absolute(&operation, Bar::AtMost(300.0), Unit::Mebibytes, after / MEBIBYTE)
            .noting(format!("{again} facts read again in a second pass")),
    ])
}

fn start(stage: &Stage, empty: &Place) -> Result<Row> {
    let full = stage.place()?;
    fill::add_revocations(&full.database(), stage.options.facts / 10)?;
    tell("starts …");
    let (ours, bound) = stage.rounds(|| time_to_ready(&full), || time_to_ready(empty))?;
    let operation =
        format!("Start, {} tokens, {} revocations", stage.options.facts, stage.options.facts / 10);
    let figures = (&ours[..], "an empty database", &bound[..]);
    Row::compared(&operation, Bar::AtMost(10.0), Unit::Millis, figures)
}

/// From the start of the process until it says that it is ready, in milliseconds.
fn time_to_ready(place: &Place) -> Result<f64> {
    let begun = now();
    let server = place.start()?;
    let time = micros(begun.elapsed()) / 1000.0;
    server.stop()?;
    Ok(time)
}
