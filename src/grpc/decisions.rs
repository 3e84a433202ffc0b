//! What is counted of decisions.

use std::fmt;
use std::sync::OnceLock;

use metrics::Counter;

use crate::domain::calls::Verdict;
use crate::pb;

/// How many ways there are to decide: one to allow, and each reason to deny.
const WAYS: usize = 9;

/// The decisions, counted by how each came out.
#[derive(Default)]
pub(super) struct Decisions([OnceLock<Counter>; WAYS]);

impl fmt::Debug for Decisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decisions")
    }
}

impl Decisions {
    /// Counts one.
    pub(super) fn count(&self, verdict: &Verdict) {
        let (decision, reason) = match verdict.denied {
            None => (pb::Decision::Allow, pb::DenyReason::Unspecified),
            Some(reason) => (pb::Decision::Deny, reason.into()),
        };
        let Some(counter) = usize::try_from(i32::from(reason)).ok().and_then(|at| self.0.get(at))
        else {
            return;
        };
        let counter = counter.get_or_init(|| {
            metrics::counter!(
                "tokend_decisions_total",
                "decision" => decision.as_str_name(),
                "reason" => reason.as_str_name(),
            )
        });
        counter.increment(1);
    }
}
