//! The scenarios, one for each group of bars, and what they share.

use std::time::Duration;

use crate::figures::now;
use crate::generator::{self, Cast, Load, Slice, Span};
use crate::noop::{self, Answer};
use crate::options::Options;
use crate::people::{People, Setup, took};
use crate::report::Row;
use crate::script::Calls;
use crate::server::{Place, Process};
use crate::{Result, fail, machine, tell};

mod big;
mod commits;
mod jwt;
mod opaque;
mod refresh;
mod runtimes;
mod sign_in;
mod storm;

/// A scenario, which answers its rows.
type Scenario = fn(&Stage) -> Result<Vec<Row>>;

const SCENARIOS: [(&str, Scenario); 7] = [
    ("opaque", opaque::run),
    ("jwt", jwt::run),
    ("refresh", refresh::run),
    ("sign-in", sign_in::run),
    ("commits", commits::run),
    ("storm", storm::run),
    ("runtimes", runtimes::run),
];

/// A scenario with a database of its own.
type BigScenario = fn(&Options) -> Result<Vec<Row>>;

/// Those that take many minutes.
const BIG: [(&str, BigScenario); 2] = [("rows", big::rows::run), ("memory", big::memory::run)];

/// Runs those that are wanted.
///
/// # Errors
/// An answer that is wrong, or a scenario that does not run; in a smoke run also what may not be
/// whatever the time.
pub(crate) fn run(options: &Options) -> Result<Vec<Row>> {
    let names = SCENARIOS.map(|(name, _)| name).into_iter().chain(BIG.map(|(name, _)| name));
    let names: Vec<_> = names.collect();
    if let Some(unknown) = options.named().iter().find(|name| !names.contains(&name.as_str())) {
        return fail(format!("there is no scenario {unknown}, but {}", names.join(", ")));
    }
    let mut rows = Vec::new();
    let wanted = SCENARIOS.into_iter().filter(|(name, _)| options.wants(name));
    let wanted: Vec<_> = wanted.collect();
    if !wanted.is_empty() {
        let stage = Stage::set(options)?;
        for (name, scenario) in wanted {
            tell(&format!("{name} …"));
            add(&mut rows, options, named(name, scenario(&stage))?);
        }
    }
    for (name, scenario) in BIG {
        if options.wants(name) && (options.big || !options.named().is_empty()) {
            tell(&format!("{name} …"));
            add(&mut rows, options, named(name, scenario(options))?);
        }
    }
    let breach = rows.iter().find_map(|row| Some((row, row.breach()?)));
    match breach {
        Some((row, breach)) if options.smoke => fail(format!("{}: {breach}", row.operation)),
        _ => Ok(rows),
    }
}

/// Adds what a scenario answered, and tells it already: a run that is broken off has not been in
/// vain.
fn add(rows: &mut Vec<Row>, options: &Options, more: Vec<Row>) {
    if !options.smoke {
        for row in &more {
            tell(&row.line());
        }
    }
    rows.extend(more);
}

/// The rows, or the failure and whose it is.
fn named(name: &str, rows: Result<Vec<Row>>) -> Result<Vec<Row>> {
    Ok(rows.map_err(|failure| format!("{name}: {failure}"))?)
}

/// What all scenarios begin with: a database with people and tokens, which none of them changes.
struct Stage {
    options: Options,
    base: Place,
    people: People,
    /// Personal tokens, opaque.
    tokens: Vec<String>,
    /// On how many cores the server answers, each with a runtime of its own; 0: on one runtime.
    cores: usize,
}

impl Stage {
    fn set(options: &Options) -> Result<Self> {
        let base = Place::new(options.dir.as_deref())?;
        let cores = cores(&base)?;
        let server = base.start()?;
        let setup = Setup { server: &server, load: options.load };
        let begun = now();
        let people = People::make(&setup, options.size)?;
        tell(&format!(
            "{} users, {} sign-ins: {}",
            options.size.users,
            options.size.sign_ins(),
            took(begun.elapsed())
        ));
        let begun = now();
        let tokens = people.tokens(&setup, "personal")?;
        tell(&format!("{} tokens: {}", tokens.len(), took(begun.elapsed())));
        server.stop()?;
        Ok(Self { options: options.clone(), base, people, tokens, cores })
    }

    /// A place with the same people and tokens.
    fn place(&self) -> Result<Place> {
        self.base.copy(self.options.dir.as_deref())
    }

    /// A server of its own with the same people and tokens, and the settings of the product.
    fn server(&self) -> Result<(Place, Process)> {
        let place = self.place()?;
        let server = place.start()?;
        Ok((place, server))
    }

    /// A server that does nothing, of the same shape, which answers what ours does.
    fn noop(&self, answer: &Answer) -> Result<Process> {
        noop::start(answer, self.cores)
    }

    /// Calls with as many open at once as the bars say, for a slice.
    fn drive(&self, server: &Process, cast: Cast<'_>) -> Result<Slice> {
        self.drive_with(server, self.options.load, cast)
    }

    fn drive_with(&self, server: &Process, load: Load, cast: Cast<'_>) -> Result<Slice> {
        generator::drive(server, load, Span::For(self.options.slice), cast)
    }

    /// Makes each of these calls once.
    fn each(&self, server: &Process, calls: &Calls) -> Result<Slice> {
        generator::drive(server, self.options.load, Span::ToTheEnd, &calls.once())
    }

    /// Lets two take turns.
    fn rounds<A, B>(
        &self,
        mut ours: impl FnMut() -> Result<A>,
        mut other: impl FnMut() -> Result<B>,
    ) -> Result<(Vec<A>, Vec<B>)> {
        let mut both = (Vec::new(), Vec::new());
        for _ in 0..self.options.rounds {
            both.0.push(ours()?);
            both.1.push(other()?);
        }
        Ok(both)
    }

    /// How long a step is repeated in a round to know its cost: less than a slice will do.
    fn step(&self) -> Duration {
        self.options.slice / 4
    }
}

/// The shape of the product's listener, by its settings. The one place that decides what the
/// server that does nothing looks like.
fn cores(place: &Place) -> Result<usize> {
    let per_core =
        place.setting("grpc", "runtime")?.is_some_and(|it| it.as_str() == Some("per_core"));
    let cores = place.setting("grpc", "cores")?.and_then(|cores| cores.as_integer()).unwrap_or(0);
    match (per_core, cores) {
        (false, _) => Ok(0),
        (true, 0) => machine::cores(),
        (true, cores) => Ok(usize::try_from(cores)?),
    }
}

/// The processor time of a call in each slice.
fn cpu(slices: &[Slice]) -> Vec<f64> {
    slices.iter().map(Slice::cpu_micros).collect()
}

/// The calls in a second in each slice.
fn rates(slices: &[Slice]) -> Vec<f64> {
    slices.iter().map(Slice::calls_per_second).collect()
}

/// So many of a thousand calls of each slice took no longer, in microseconds.
fn per_mille(slices: &[Slice], share: u64) -> Vec<f64> {
    slices.iter().map(|slice| slice.times.per_mille(share)).collect()
}

/// The times of answers of the middle round.
fn times(who: &str, slices: &[Slice]) -> String {
    let middle = |share| {
        let spread = crate::figures::Spread::of(&per_mille(slices, share));
        spread.map_or(0.0, |spread| spread.median)
    };
    crate::report::times(who, middle(500), middle(990))
}
