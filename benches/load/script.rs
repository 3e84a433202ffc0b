//! What is called: the scripts of all scenarios.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Request;
use prost::Message as _;
use tokend::pb;

use crate::figures::Dice;
use crate::generator::{Call, Script, Shared};
use crate::wire::{self, Judge};
use crate::{Result, fail};

/// Calls that are alike but for their bodies.
#[derive(Clone)]
pub(crate) struct Calls {
    head: Request<()>,
    bodies: Shared<Bytes>,
    judge: Judge,
}

impl Calls {
    /// Calls of a method (`TokenService/Authorize`), whose answers are judged so.
    pub(crate) fn new(method: &str, bodies: Vec<Bytes>, judge: Judge) -> Result<Self> {
        Ok(Self::by(wire::head(method)?, bodies, judge))
    }

    /// Calls with this head.
    pub(crate) fn by(head: Request<()>, bodies: Vec<Bytes>, judge: Judge) -> Self {
        Self { head, bodies: bodies.into(), judge }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.bodies.len()
    }

    fn one(&self, number: usize) -> Option<Call> {
        let body = self.bodies.get(number)?.clone();
        Some(Call { head: self.head.clone(), body })
    }

    /// The one of this number.
    pub(crate) fn get(&self, number: usize) -> Result<Call> {
        self.one(number).map_or_else(|| fail(format!("there is no call {number}")), Ok)
    }

    /// Draws from all of them, over and over.
    pub(crate) fn drawn(&self, number: usize) -> Box<dyn Script> {
        Box::new(Drawn { calls: self.clone(), dice: Dice::new(number) })
    }

    /// Makes the same one of them, over and over.
    pub(crate) fn own(&self, number: usize) -> Box<dyn Script> {
        Box::new(Own { calls: self.clone(), number: number % self.len().max(1) })
    }

    /// Gives each of them to one of those who ask, once.
    pub(crate) fn once(&self) -> impl Fn(usize) -> Box<dyn Script> + Sync + use<> {
        let (calls, next) = (self.clone(), Arc::new(AtomicUsize::new(0)));
        move |_| Box::new(Once { calls: calls.clone(), next: Arc::clone(&next) })
    }
}

/// Draws calls by chance, each as likely as any other.
struct Drawn {
    calls: Calls,
    dice: Dice,
}

impl Script for Drawn {
    fn next(&mut self) -> Option<Call> {
        self.calls.one(self.dice.below(self.calls.len()))
    }

    fn answered(&mut self, message: Bytes) -> Result<()> {
        (self.calls.judge)(&message)
    }
}

/// Makes one call again and again.
struct Own {
    calls: Calls,
    number: usize,
}

impl Script for Own {
    fn next(&mut self) -> Option<Call> {
        self.calls.one(self.number)
    }

    fn answered(&mut self, message: Bytes) -> Result<()> {
        (self.calls.judge)(&message)
    }
}

/// Takes the next call that nobody has taken.
struct Once {
    calls: Calls,
    next: Arc<AtomicUsize>,
}

impl Script for Once {
    fn next(&mut self) -> Option<Call> {
        self.calls.one(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn answered(&mut self, message: Bytes) -> Result<()> {
        (self.calls.judge)(&message)
    }
}

/// What came back, by the number of its call.
pub(crate) type Answers = Arc<Mutex<Vec<(usize, Bytes)>>>;

/// Makes each call of a list once, and keeps the answers: by this a server is set up.
#[derive(Clone)]
pub(crate) struct Listed {
    head: Request<()>,
    bodies: Shared<Bytes>,
    next: Arc<AtomicUsize>,
    answers: Answers,
    open: usize,
}

impl Listed {
    /// The calls.
    pub(crate) fn new(head: Request<()>, bodies: Vec<Bytes>) -> Self {
        let (next, answers) = (Arc::default(), Answers::default());
        Self { head, bodies: bodies.into(), next, answers, open: 0 }
    }

    /// The answers, in the order of the calls.
    pub(crate) fn answers(&self) -> Vec<Bytes> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answers = std::mem::take(&mut *answers);
        answers.sort_by_key(|(number, _)| *number);
        answers.into_iter().map(|(_, message)| message).collect()
    }
}

impl Script for Listed {
    fn next(&mut self) -> Option<Call> {
        self.open = self.next.fetch_add(1, Ordering::Relaxed);
        let body = self.bodies.get(self.open)?.clone();
        Some(Call { head: self.head.clone(), body })
    }

    fn answered(&mut self, message: Bytes) -> Result<()> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push((self.open, message));
        Ok(())
    }
}

/// The refresh tokens that are good now, one for each of the open calls.
#[derive(Clone)]
pub(crate) struct Chains {
    head: Request<()>,
    newest: Arc<[Mutex<String>]>,
}

impl Chains {
    /// From these on.
    pub(crate) fn new(secrets: &[String]) -> Result<Self> {
        let newest = secrets.iter().cloned().map(Mutex::new).collect();
        Ok(Self { head: wire::head("TokenService/RefreshOperationToken")?, newest })
    }

    /// Swaps one of them for its successor, over and over.
    pub(crate) fn of(&self, number: usize) -> Box<dyn Script> {
        Box::new(Chain { chains: self.clone(), number })
    }
}

struct Chain {
    chains: Chains,
    number: usize,
}

impl Chain {
    fn newest(&self) -> Option<std::sync::MutexGuard<'_, String>> {
        let newest = self.chains.newest.get(self.number)?;
        Some(newest.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Script for Chain {
    fn next(&mut self) -> Option<Call> {
        let refresh_token = self.newest()?.clone();
        let request = pb::RefreshOperationTokenRequest { refresh_token, ..Default::default() };
        Some(Call { head: self.chains.head.clone(), body: wire::frame(&request) })
    }

    fn answered(&mut self, message: Bytes) -> Result<()> {
        let answer = pb::RefreshOperationTokenResponse::decode(message)?;
        wire::secret(answer.operation_token)?;
        let successor = wire::secret(answer.refresh_token)?;
        if let Some(mut newest) = self.newest() {
            *newest = successor;
        }
        Ok(())
    }
}
