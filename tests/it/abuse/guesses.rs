//! Guessing who exists: every failure of a sign-in has one answer, at one cost and at one time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokend::config::Settings;
use tokend::pb::{self, UserState};
use tokio::time::Instant;

use super::cpu::cpu;
use crate::reads::quiet_with;
use crate::support::alone::{Log, alone, is_alone};
use crate::support::{Refusal, World};

/// One way in which a sign-in fails.
#[derive(Clone)]
struct Guess {
    case: String,
    username: String,
    password: String,
    accept_final_newline: bool,
}

impl Guess {
    fn new(case: &str, username: &str, password: &str) -> Self {
        let [case, username, password] = [case, username, password].map(str::to_owned);
        Self { case, username, password, accept_final_newline: false }
    }

    /// With a line end that it is tried without, too.
    fn with_newline(self) -> Self {
        let case = format!("{}, and a line end", self.case);
        Self { case, password: self.password + "\n", accept_final_newline: true, ..self }
    }

    async fn fail(&self, world: &World) -> Refusal {
        self.fail_for(world, "").await
    }

    async fn fail_for(&self, world: &World, profile: &str) -> Refusal {
        let credential = pb::PasswordCredential {
            realm: String::new(),
            username: self.username.clone(),
            password: self.password.clone(),
            accept_final_newline: self.accept_final_newline,
        };
        let credential = Some(pb::create_token_request::Credential::Password(credential));
        let profile = profile.to_owned();
        let request = pb::CreateTokenRequest { credential, profile, ..Default::default() };
        world.nobody().create_token(request).await.unwrap_err()
    }
}

/// Failures to sign in to this profile lock a name, those of the tests do not.
const LOCKING: &str = "magento-admin";

fn settings(settings: &mut Settings) {
    settings.sign_in.lockout.failures = 1000;
}

/// Every way to fail, of those who exist and of those who don't.
struct Guesses {
    open: Vec<Guess>,
    locked: Vec<Guess>,
}

impl Guesses {
    async fn of(world: &World) -> Self {
        let (alice, off) = (world.user("alice").await, world.user("off").await);
        world.admin().set_state(&off, UserState::Disabled).await;
        let without =
            pb::CreateUserRequest { username: "without".to_owned(), ..Default::default() };
        world.admin().api().create_user(without).await.unwrap();
        let known = world.user("locked").await;
        lock(world, &known.username).await;
        lock(world, "nobody-locked").await;
        let wrong = "a wrong password";
        let mut open = vec![
            Guess::new("unknown", "nobody", wrong),
            Guess::new("wrong", "alice", wrong),
            Guess::new("disabled and wrong", "off", wrong),
            Guess::new("disabled", "off", &off.password),
            Guess::new("without a password", "without", wrong),
            Guess::new("alice's, elsewhere", "nobody", &alice.password),
        ];
        for length in [1, 64, 1023] {
            let password = "x".repeat(length);
            for (case, username) in [("unknown", "nobody"), ("wrong", "alice")] {
                open.push(Guess::new(&format!("{case}, {length} long"), username, &password));
            }
        }
        let locked = vec![
            Guess::new("locked, unknown", "nobody-locked", wrong),
            Guess::new("locked, wrong", "locked", wrong),
            Guess::new("locked", "locked", &known.password),
        ];
        Self { open, locked }
    }

    fn all(self) -> Vec<Guess> {
        [self.open, self.locked].concat()
    }
}

/// Locks a name, whoever has it.
async fn lock(world: &World, username: &str) {
    let guess = Guess::new("", username, "a guess");
    for _ in 0..6 {
        guess.fail_for(world, LOCKING).await;
    }
}

#[tokio::test]
async fn answers_all_that_fails_alike_and_in_one_cell_of_the_grid() {
    // Longer than anything else here takes, but for a machine that stands still.
    const GRID: Duration = Duration::from_millis(400);
    let mut world = World::with(settings).await;
    let guesses = Guesses::of(&world).await.all();
    world.restart_with(|settings| settings.passwords.failure_grid = GRID).await;
    let mut cells = vec![Vec::new(); guesses.len()];
    for _ in 0..5 {
        let tries = guesses.iter().map(async |guess| {
            let began = Instant::now();
            let refused = guess.fail(&world).await;
            (refused, began.elapsed())
        });
        let answers = join_all(tries).await;
        for ((refused, time), cells) in answers.iter().zip(&mut cells) {
            assert_eq!(*refused, answers[0].0);
            assert!(*time >= GRID, "{time:?}: before its time");
            cells.push(time.as_nanos() / GRID.as_nanos());
        }
    }
    let medians: Vec<_> = cells
        .iter_mut()
        .map(|cells| {
            cells.sort_unstable();
            cells[cells.len() / 2]
        })
        .collect();
    let cases: Vec<_> = guesses.iter().map(|guess| &guess.case).collect();
    assert!(medians.iter().all(|cell| *cell == medians[0]), "{medians:?} of {cases:?}");
}

/// The statements of a failure.
async fn statements((world, log): (&World, &Arc<Log>), guess: &Guess) -> Vec<String> {
    // The first failure of a name may make its row.
    guess.fail(world).await;
    let from = log.count();
    guess.fail(world).await;
    // What looks after the connection comes when it does.
    let calls = log.statements_since(from).into_iter().filter(|ran| !ran.contains("PRAGMA "));
    let kinds = calls.map(|statement| {
        // What was asked, without what it was asked of.
        statement.split("summary=").nth(1).unwrap_or(&statement).chars().take(24).collect()
    });
    kinds.collect()
}

#[tokio::test]
async fn asks_the_database_the_same_for_whoever_fails() {
    let test = "abuse::guesses::asks_the_database_the_same_for_whoever_fails";
    let Some(log) = alone(test) else { return };
    let world = quiet_with(&log, settings).await;
    let Guesses { open, locked } = Guesses::of(&world).await;
    for guesses in [open, locked] {
        let first = statements((&world, &log), &guesses[0]).await;
        assert!(!first.is_empty());
        for guess in guesses {
            for guess in [guess.clone(), guess.with_newline()] {
                let asked = statements((&world, &log), &guess).await;
                assert_eq!(asked, first, "{}", guess.case);
            }
        }
    }
}

/// The share of pairs in which one of the first took longer than one of the others by more than
/// half.
fn dearer(first: &[Duration], others: &[Duration]) -> f64 {
    let pairs = first.iter().flat_map(|one| others.iter().map(move |other| (one, other)));
    let count = pairs.clone().filter(|(one, other)| **one > **other * 3 / 2).count();
    f64::from(u32::try_from(count).unwrap()) / f64::from(u32::try_from(pairs.count()).unwrap())
}

#[tokio::test]
async fn works_as_hard_for_whoever_fails() {
    if !is_alone("abuse::guesses::works_as_hard_for_whoever_fails") {
        return;
    }
    let world = World::with(|all| {
        settings(all);
        // So that a hash is most of what a failure costs.
        all.passwords.memory_kib = 4 * 1024;
        all.passwords.iterations = 2;
    })
    .await;
    let Guesses { open, locked } = Guesses::of(&world).await;
    for guesses in [open, locked] {
        let double: Vec<_> = guesses.iter().cloned().map(Guess::with_newline).collect();
        for guesses in [guesses, double] {
            cost_alike(&world, &guesses).await;
        }
    }
}

async fn cost_alike(world: &World, guesses: &[Guess]) {
    /// How often each is tried.
    const TRIES: usize = 10;
    let mut costs = vec![Vec::new(); guesses.len()];
    // By turns, so that what else the machine does comes to all of them.
    for _ in 0..TRIES {
        for (guess, costs) in guesses.iter().zip(&mut costs) {
            let began = cpu();
            guess.fail(world).await;
            costs.push(cpu().saturating_sub(began));
        }
    }
    for (guess, costs_of_one) in guesses.iter().zip(&costs) {
        for (other, costs_of_other) in guesses.iter().zip(&costs) {
            let share = dearer(costs_of_one, costs_of_other);
            assert!(share < 0.5, "{} is dearer than {}: {share}", guess.case, other.case);
        }
    }
}
