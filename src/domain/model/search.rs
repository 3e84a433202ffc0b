//! Breadth first through every state, so that a breach comes with a shortest way to it.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use super::{Model, Reached, Scope, Step, Who, World};

/// What a search has found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) states: usize,
    /// How many different facts the product's code went through.
    pub(super) facts: usize,
    pub(super) reached: Reached,
    /// A shortest way to a breach.
    pub(super) breach: Option<Trace>,
}

/// How something came about.
pub(super) struct Trace(Vec<(u8, Step)>);

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (now, Step { who, what }) in &self.0 {
            let who = match who {
                Who::World => "-".to_owned(),
                Who::Replica(n) => format!("replica {n}"),
                Who::Revoker(n) => format!("revoker {n}"),
            };
            write!(f, "\n  tick {now}  {who:9}  {what}")?;
        }
        Ok(())
    }
}

/// Goes through all that a scope reaches, or until the first breach.
pub(super) fn search(scope: Scope) -> Found {
    let mut model = Model::new(scope);
    let mut states = vec![model.start()];
    let mut came: Vec<Option<(u32, Step)>> = vec![None];
    let mut seen: HashSet<World, BuildHasherDefault<Mix>> = HashSet::default();
    seen.insert(states[0]);
    let mut breach = None;
    let mut at = 0;
    while at < states.len() && breach.is_none() {
        let world = states[at];
        for way in model.ways(&world) {
            if way.is_breach {
                breach = Some(trace(&states, &came, (at, way.step)));
                break;
            }
            if seen.insert(way.world) {
                states.push(way.world);
                came.push(Some((u32::try_from(at).unwrap(), way.step)));
            }
        }
        at += 1;
    }
    Found { states: states.len(), facts: model.library.len(), reached: model.reached, breach }
}

fn trace(states: &[World], came: &[Option<(u32, Step)>], last: (usize, Step)) -> Trace {
    let (mut at, step) = last;
    let mut steps = vec![(states[at].now, step)];
    while let Some((before, step)) = came[at] {
        steps.push((states[at].now, step));
        at = before as usize;
    }
    steps.reverse();
    Trace(steps)
}

/// A quick hash. States are told apart by all that they are, never by it.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(n.into());
    }

    fn write_u16(&mut self, n: u16) {
        self.write_u64(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn write_isize(&mut self, n: isize) {
        self.write_u64(n.cast_unsigned() as u64);
    }
}
