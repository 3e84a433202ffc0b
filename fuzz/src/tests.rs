//! Runs each target over its seeds and over what becomes of them by chance; always the same chance.

use std::fs;
use std::path::Path;

const ROUNDS: usize = 10_000;
const LONGEST: usize = 64 * 1024;

// SplitMix64: good enough to stir, and nothing to depend on.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap()
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let longest = (length - start).min(64);
        start..start + self.below(longest + 1)
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.below(64);
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

fn mutate(mut bytes: Vec<u8>, seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    for _ in 0..=chance.below(4) {
        let place = chance.range(bytes.len());
        let other = &seeds[chance.below(seeds.len())];
        let replacement = match chance.below(6) {
            0 => Vec::new(),
            1 => chance.bytes(),
            2 => bytes[place.clone()].repeat(chance.below(40)),
            3 => other[chance.range(other.len())].to_vec(),
            4 => bytes[chance.range(bytes.len())].to_vec(),
            _ => bytes[place.clone()].iter().map(|byte| byte ^ (1 << chance.below(8))).collect(),
        };
        bytes.splice(place, replacement);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn run(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    for seed in &seeds {
        target(seed);
    }
    let mut chance = Chance(1);
    for _ in 0..ROUNDS {
        let seed = seeds[chance.below(seeds.len())].clone();
        target(&mutate(seed, &seeds, &mut chance));
        target(&chance.bytes());
    }
}

#[test]
fn accept_holds() {
    run("accept", super::accept);
}

#[test]
fn basic_holds() {
    run("basic", super::basic);
}

#[test]
fn content_type_holds() {
    run("content_type", super::content_type);
}

#[test]
fn form_holds() {
    run("form", super::form);
}

#[test]
fn json_holds() {
    run("json", super::json);
}

#[test]
fn lifetime_holds() {
    run("lifetime", super::lifetime);
}

#[test]
fn soap_holds() {
    run("soap", super::soap);
}

#[test]
fn xml_holds() {
    run("xml", super::xml);
}
