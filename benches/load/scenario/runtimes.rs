//! A runtime for each core against one runtime on all cores.

use super::{Stage, cpu, rates, times};
use crate::Result;
use crate::figures::Unit;
use crate::report::{Bar, Row};

const CPU: (&str, Bar) = ("One runtime → one per core, by processor time", Bar::AtLeast(1.4));
const CLOCK: (&str, Bar) = ("One runtime → one per core, by the clock", Bar::AtLeast(1.4));
const ONE: &str = "one runtime";

pub(super) fn run(stage: &Stage) -> Result<Vec<Row>> {
    let (_place, apart) = stage.server()?;
    let other = stage.place()?.with("GRPC__RUNTIME", "shared");
    let together = other.start()?;
    let checks = stage.people.checks(&stage.tokens)?;
    stage.each(&apart, &checks)?;
    stage.each(&together, &checks)?;
    let draw = |number| checks.drawn(number);
    let (ours, one) =
        stage.rounds(|| stage.drive(&apart, &draw), || stage.drive(&together, &draw))?;
    let (by_cpu, by_clock) = ((cpu(&ours), cpu(&one)), (rates(&ours), rates(&one)));
    Ok(vec![
        Row::compared(CPU.0, CPU.1, Unit::CpuMicros, (&by_cpu.0, ONE, &by_cpu.1))?,
        Row::compared(CLOCK.0, CLOCK.1, Unit::CallsPerSecond, (&by_clock.0, ONE, &by_clock.1))?
            .noting(times("ours", &ours))
            .noting(times(ONE, &one)),
    ])
}
