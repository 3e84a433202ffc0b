//! Transactions that the database itself broke off: surely nothing of them was done, so they are
//! tried again.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr};
use tokio::time;

use super::convert::is_taken;
use crate::domain::random::{MachineRandom, Random};
use crate::domain::store::{Answer, StoreError};

/// How often a transaction is tried.
const TRIES: u32 = 5;

/// After this it is not tried again: one that waited for a lock has waited long enough.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long the first pause may be; each next one may be twice as long. Its length is by chance:
/// those that met would meet again otherwise.
const PAUSE: Duration = Duration::from_millis(10);

/// Of PostgreSQL: could not be serialised, deadlock, waited too long for a lock. Of MariaDB: the
/// row was changed since it was read, waited too long for a lock, deadlock.
const PASSING: [&str; 6] = ["40001", "40P01", "55P03", "1020", "1205", "1213"];

/// Runs a transaction, and runs it anew where the database broke it off for another's sake. One
/// whose commit failed is never run anew: it may have been done.
pub(super) async fn retrying<T, F>(mut run: impl FnMut() -> F) -> Answer<T>
where
    F: Future<Output = Answer<T>>,
{
    let end = time::Instant::now() + PATIENCE;
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match run().await {
            Err(StoreError::Unavailable(cause))
                if is_worth_another(&*cause) && time::Instant::now() < end =>
            {
                tracing::debug!(error = %cause, "the database broke a transaction off");
            }
            ended => return ended,
        }
        time::sleep(some_of(pause)).await;
        pause *= 2;
    }
    run().await
}

/// A part of it, by chance; all of it where the machine has no randomness to give.
fn some_of(pause: Duration) -> Duration {
    let random: &dyn Random = &MachineRandom::default();
    match random.bytes() {
        Ok([byte]) => pause * u32::from(byte) / 255,
        Err(_) => pause,
    }
}

/// Whether the database refused what was asked of it, so that surely nothing was done, and parts
/// of it might fare better by themselves.
pub(super) fn is_refused(error: &StoreError) -> bool {
    match error {
        StoreError::Broken(_) | StoreError::CallerGone | StoreError::Denied(_) => true,
        StoreError::Unavailable(cause) => {
            cause.is::<Overtaken>() || cause.downcast_ref::<DbErr>().is_some_and(is_answer)
        }
    }
}

/// Whether the database said so itself, and could be asked again.
fn is_answer(error: &DbErr) -> bool {
    matches!(
        error,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))
            if error.as_database_error().is_some()
    )
}

/// What an insertion met whose row another transaction has inserted since this one looked for it:
/// it is run anew, and finds it.
pub(super) fn overtaken(error: DbErr) -> StoreError {
    if is_taken(&error) {
        StoreError::Unavailable(Box::new(Overtaken(error)))
    } else {
        error.into()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("another was faster: {0}")]
struct Overtaken(#[source] DbErr);

fn is_worth_another(cause: &(dyn Error + Send + Sync + 'static)) -> bool {
    cause.is::<Overtaken>() || cause.downcast_ref::<DbErr>().is_some_and(is_passing)
}

/// Whether the database broke off what was asked, for another's sake.
pub(super) fn is_passing(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) =
        error
    else {
        return false;
    };
    let Some(error) = error.as_database_error() else { return false };
    match error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        Some(error) => PASSING.contains(&error.number().to_string().as_str()),
        None => error.code().is_some_and(|code| PASSING.contains(&&*code)),
    }
}
