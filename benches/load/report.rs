//! What was measured against what, whether it is enough, and how that is told.

use std::fmt::Write as _;
use std::iter;

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::figures::{Short, Spread, Unit};
use crate::machine::{self, Machine};
use crate::{Result, fail};

/// How good a ratio has to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Bar {
    const fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn write(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::AtMost(most) => format!("≤ {most}"),
        }
    }

    fn json(self) -> Value {
        match self {
            Self::AtLeast(least) => json!({ "at_least": least }),
            Self::AtMost(most) => json!({ "at_most": most }),
        }
    }
}

/// An operation, and how far it is from its bound.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) operation: String,
    pub(crate) bar: Bar,
    pub(crate) outcome: Outcome,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// This.
    Measured(Measured),
    /// Nothing, for this reason.
    NotMeasured(String),
}

/// Figures of some rounds.
#[derive(Debug)]
pub(crate) struct Measured {
    unit: Unit,
    ours: Spread,
    /// What it is held against, where the bar is no number of itself.
    bound: Option<(String, Spread)>,
    ratio: Spread,
    notes: Vec<String>,
    breach: Option<String>,
}

impl Row {
    /// Ours against a bound, round by round. The ratio is of speeds, and greater is better, where
    /// the bar is a least one; else it is of costs.
    pub(crate) fn compared(
        operation: &str,
        bar: Bar,
        unit: Unit,
        (ours, what, bound): (&[f64], &str, &[f64]),
    ) -> Result<Self> {
        let speed = |(ours, bound): (&f64, &f64)| match unit {
            Unit::CallsPerSecond => ours / bound,
            Unit::CpuMicros | Unit::Micros | Unit::Millis | Unit::Mebibytes | Unit::Bytes => {
                bound / ours
            }
        };
        let ratios: Vec<f64> = iter::zip(ours, bound)
            .map(speed)
            .map(|speed| match bar {
                Bar::AtLeast(_) => speed,
                Bar::AtMost(_) => speed.recip(),
            })
            .collect();
        let (Some(ours), Some(bound), Some(ratio)) =
            (Spread::of(ours), Spread::of(bound), Spread::of(&ratios))
        else {
            return fail(format!("{operation}: there was no round"));
        };
        let bound = Some((what.to_owned(), bound));
        Ok(Self::measured(operation, bar, Measured::new(unit, ours, bound, ratio)))
    }

    /// A figure that its bar bounds by itself.
    pub(crate) fn absolute(operation: &str, bar: Bar, unit: Unit, value: f64) -> Self {
        let value = Spread { median: value, least: value, greatest: value };
        Self::measured(operation, bar, Measured::new(unit, value, None, value))
    }

    /// One that this build or run can't measure.
    pub(crate) fn not_measured(operation: &str, bar: Bar, why: &str) -> Self {
        let outcome = Outcome::NotMeasured(why.to_owned());
        Self { operation: operation.to_owned(), bar, outcome }
    }

    fn measured(operation: &str, bar: Bar, measured: Measured) -> Self {
        Self { operation: operation.to_owned(), bar, outcome: Outcome::Measured(measured) }
    }

    /// With something to be known about it.
    pub(crate) fn noting(mut self, note: impl Into<String>) -> Self {
        if let Outcome::Measured(measured) = &mut self.outcome {
            measured.notes.push(note.into());
        }
        self
    }

    /// With the facts that it read from the database, where it should have read none.
    pub(crate) fn reading(mut self, reads: u64) -> Self {
        if let Outcome::Measured(measured) = &mut self.outcome {
            measured.notes.push(format!("{reads} facts read from the database"));
            if reads > 0 {
                measured.breach = Some(format!("{reads} facts were read from the database"));
            }
        }
        self
    }

    /// What is wrong with it whatever its figures are.
    pub(crate) fn breach(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Measured(measured) => measured.breach.as_deref(),
            Outcome::NotMeasured(_) => None,
        }
    }

    /// The ratio, where there is one.
    pub(crate) const fn ratio(&self) -> Option<Spread> {
        match &self.outcome {
            Outcome::Measured(measured) => Some(measured.ratio),
            Outcome::NotMeasured(_) => None,
        }
    }

    /// Whether it is as good as it has to be.
    pub(crate) fn is_met(&self) -> Option<bool> {
        match &self.outcome {
            Outcome::Measured(measured) => {
                Some(measured.breach.is_none() && self.bar.is_met(measured.ratio.median))
            }
            Outcome::NotMeasured(_) => None,
        }
    }

    /// The row on one line, for whoever watches.
    pub(crate) fn line(&self) -> String {
        let [operation, ours, bound, ratio, bar, _] = self.cells();
        format!("  {operation}: {ours} | {bound} | {ratio} | {bar}")
    }

    fn cells(&self) -> [String; 6] {
        let bar = match &self.outcome {
            Outcome::Measured(Measured { bound: None, unit, .. }) => match self.bar {
                Bar::AtLeast(least) => format!("≥ {}", unit.write(least)),
                Bar::AtMost(most) => format!("≤ {}", unit.write(most)),
            },
            Outcome::Measured(_) | Outcome::NotMeasured(_) => self.bar.write(),
        };
        let [ours, bound, ratio, met] = match &self.outcome {
            Outcome::Measured(measured) => measured.cells(self.is_met() == Some(true)),
            Outcome::NotMeasured(why) => {
                ["not measured".to_owned(), why.clone(), "–".to_owned(), "–".to_owned()]
            }
        };
        [self.operation.clone(), ours, bound, ratio, bar, met]
    }

    fn json(&self) -> Value {
        let Self { operation, bar, outcome } = self;
        let outcome = match outcome {
            Outcome::Measured(measured) => measured.json(),
            Outcome::NotMeasured(why) => json!({ "not_measured": why }),
        };
        json!({
            "operation": operation, "bar": bar.json(), "met": self.is_met(), "outcome": outcome,
        })
    }
}

impl Measured {
    const fn new(unit: Unit, ours: Spread, bound: Option<(String, Spread)>, ratio: Spread) -> Self {
        Self { unit, ours, bound, ratio, notes: Vec::new(), breach: None }
    }

    fn cells(&self, met: bool) -> [String; 4] {
        let Self { unit, ours, bound, ratio, notes: _, breach: _ } = self;
        let (bound, ratio) = match bound {
            Some((what, bound)) => (
                format!("{what}: {}", unit.write(bound.median)),
                format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.least, ratio.greatest),
            ),
            None => ("–".to_owned(), "–".to_owned()),
        };
        [unit.write(ours.median), bound, ratio, if met { "yes" } else { "**no**" }.to_owned()]
    }

    fn json(&self) -> Value {
        let Self { unit, ours, bound, ratio, notes, breach } = self;
        let bound = bound.as_ref().map(|(what, figures)| {
            json!({ "what": what, "figures": spread(*figures), "ratio": spread(*ratio) })
        });
        json!({
            "unit": unit.name(), "ours": spread(*ours), "bound": bound, "notes": notes,
            "breach": breach,
        })
    }
}

fn spread(Spread { median, least, greatest }: Spread) -> Value {
    json!({ "median": median, "min": least, "max": greatest })
}

/// All that was measured, and where.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// One line of what it was measured on.
    pub(crate) fn place(&self) -> String {
        let Machine { cores, processor, kernel, commit, load } = &self.machine;
        let build = machine::build();
        format!(
            "{processor}, {cores} cores, Linux {kernel}, commit {commit}, {build} build, load {load}"
        )
    }

    /// The table as text that is Markdown as well, with what there is to know of its rows.
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN);
        table.set_header(["operation", "ours", "bound", "ratio (min–max)", "bar", "met"]);
        for row in &self.rows {
            table.add_row(row.cells());
        }
        let mut text = format!("{}\n\n{table}\n", self.place());
        for row in &self.rows {
            if let Outcome::Measured(Measured { notes, .. }) = &row.outcome
                && !notes.is_empty()
            {
                // Writing into text does not fail.
                let _ = write!(text, "\n- {}: {}.", row.operation, notes.join("; "));
            }
        }
        text
    }

    /// What was run, without the figures, where they mean nothing.
    pub(crate) fn names(&self) -> String {
        let rows = self.rows.iter().map(|row| match &row.outcome {
            Outcome::Measured(_) => format!("ran: {}", row.operation),
            Outcome::NotMeasured(why) => format!("not run, for {why}: {}", row.operation),
        });
        rows.collect::<Vec<_>>().join("\n")
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Result<String> {
        let Machine { cores, processor, kernel, commit, load } = &self.machine;
        let machine = json!({
            "cores": cores, "processor": processor, "kernel": kernel, "load": load,
        });
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let all = json!({
            "machine": machine, "commit": commit, "build": machine::build(), "rows": rows,
        });
        Ok(serde_json::to_string_pretty(&all)? + "\n")
    }
}

/// Two times of answers, as a note.
pub(crate) fn times(who: &str, half: f64, nearly_all: f64) -> String {
    format!("{who} p50 {} µs, p99 {} µs", Short(half), Short(nearly_all))
}
