//! Tokens that name keys which nobody has, one after the other: each costs what an unknown word
//! costs, no memory and no read. Where `TOKEND_TEST_LONG` is set, they are a hundred thousand.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use tokend::client::Upstream;
use tokend::pb;

use super::crash::{admin, create};
use super::fleet::is_long;
use super::{Place, Running, http};

/// How many are shown in a turn.
const TURN: usize = 1_000;

/// How many turns there are once all that is kept was made.
const TURNS: usize = 6;
const LONG_TURNS: usize = 100;

/// How many are shown at once.
const AT_ONCE: usize = 200;

/// How much memory may differ by chance. In the suite, half a kilobyte kept of each would be more;
/// in a long run, twenty bytes.
const NOISE: u64 = 2 << 20;

/// How much more a check of a forged JWT may cost than one of a forged word: it is ten times as long.
const DEARER: f64 = 3.0;

impl Running {
    /// The bytes that are in memory.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The processor time that it has taken.
    fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
        // Linux counts a hundred a second, whatever the machine.
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }
}

/// A JWT of ours, but for the key that it names.
fn forged_key(number: usize) -> String {
    let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{number:032x}"}}"#);
    let payload = format!(r#"{{"iss":"tokend","sub":"{number}","exp":9999999999}}"#);
    let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([7; 64]))
}

/// A word that looks like a token of ours.
fn forged_word(number: usize) -> String {
    format!("tkd_{number:043}")
}

/// Shows so many, and has each refused.
async fn show(upstream: &Upstream, count: usize, forge: impl Fn(usize) -> String) {
    for from in (0..count).step_by(AT_ONCE) {
        let checks = (from..from + AT_ONCE).map(async |number| {
            let request = pb::AuthorizeRequest { token: forge(number), ..Default::default() };
            upstream.tokens.clone().authorize(request).await.unwrap().into_inner()
        });
        for answer in join_all(checks).await {
            assert_eq!(answer.deny_reason(), pb::DenyReason::UnknownToken);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cost_what_an_unknown_word_costs_and_leave_nothing_in_memory() {
    let place = Place::new();
    let mut server = place.serve();
    let password = server.welcome().password();
    let upstream = server.upstream();
    let good = create(&upstream, "operation", admin(&password)).await.unwrap().0.secret;
    let reads = async || {
        let url = server.url("management") + "/metrics";
        let text = http().get(url).send().await.unwrap().text().await.unwrap();
        let lines = text.lines().filter(|line| line.starts_with("tokend_fact_reads_total"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = reads().await;
    for _ in 0..2 {
        show(&upstream, TURN, forged_key).await;
        show(&upstream, TURN, forged_word).await;
    }
    let resident = server.resident();
    let turns = if is_long() { LONG_TURNS } else { TURNS };
    let (mut keys, mut words) = (Duration::ZERO, Duration::ZERO);
    // By turns, so that what else the machine does comes to both.
    for turn in 0..turns {
        let began = server.cpu();
        show(&upstream, TURN, |number| forged_key(turn * TURN + number)).await;
        let between = server.cpu();
        show(&upstream, TURN, |number| forged_word(turn * TURN + number)).await;
        keys += between.saturating_sub(began);
        words += server.cpu().saturating_sub(between);
    }
    let grown = server.resident().saturating_sub(resident);
    assert!(grown < NOISE, "{grown} bytes more");
    assert_eq!(reads().await, before, "the database was asked");
    let ratio = keys.as_secs_f64() / words.as_secs_f64();
    assert!(ratio < DEARER, "{keys:?} against {words:?}");
    let request = pb::AuthorizeRequest { token: good, ..Default::default() };
    let answer = upstream.tokens.clone().authorize(request).await.unwrap().into_inner();
    assert_eq!(answer.decision(), pb::Decision::Allow);
}
