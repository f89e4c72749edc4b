//! Joins attempts of the same request: clients ask again after an error, and each time is an exchange of its own.
//!
//! An exchange is another attempt of a request when the same process sent the same bytes to the same place again after
//! an attempt that failed in a way that clients retry, or when the client says so itself (`dialect::heads`).

use std::collections::HashMap;

use crate::{dialect::errors, exchange::Exchange, identity::ProcessKey};

/// Most requests that wait for another attempt. For a new one, the oldest is forgotten.
pub(super) const MAX_WAITING: usize = 4096;
/// How long after a failed attempt the next one may begin, beside the time that the server asked to wait.
pub(super) const WINDOW_NS: u64 = 120_000_000_000;
/// Longest wait that a server may ask for.
const MAX_WAIT_MS: u64 = 3_600_000;

/// Which request of the epoch an exchange belongs to, and which attempt of it that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the request, from 1.
    pub(super) request: u64,
    /// Number of the attempt, from 1; unknown where the request was not read whole and the client does not say.
    pub(super) attempt: Option<u16>,
}

/// What attempts of the same request have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// The client's own number.
    Invocation(ProcessKey, String),
    /// Hash of what was sent.
    Fingerprint(ProcessKey, u64),
}

/// A request that may be asked again.
pub(super) struct Waiting {
    pub(super) place: Place,
    /// The attempt is over since, and the next may come until then.
    pub(super) ended_ns: u64,
    pub(super) until_ns: u64,
    /// It failed so that clients ask again.
    pub(super) failed: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Attempts {
    requests: u64,
    pub(super) waiting: HashMap<Key, Waiting>,
}

impl Attempts {
    /// Takes an exchange that is over.
    pub(super) fn take(&mut self, process: ProcessKey, exchange: &Exchange) -> Place {
        let attempt = &exchange.attempt;
        let invocation = attempt
            .invocation
            .clone()
            .map(|number| Key::Invocation(process, number));
        let key = invocation.or_else(|| attempt.fingerprint.map(|hash| Key::Fingerprint(process, hash)));
        let before = key
            .as_ref()
            .and_then(|key| self.waiting.remove(key))
            .filter(|before| is_next(before, exchange));
        let place = match before {
            Some(before) => Place {
                request: before.place.request,
                attempt: attempt
                    .stated
                    .or_else(|| before.place.attempt.map(|n| n.saturating_add(1))),
            },
            None => {
                self.requests += 1;
                Place {
                    request: self.requests,
                    attempt: attempt.stated.or(key.as_ref().map(|_| 1)),
                }
            }
        };
        if let Some(key) = key {
            self.wait(key, place, exchange);
        }
        place
    }

    fn wait(&mut self, key: Key, place: Place, exchange: &Exchange) {
        let incomplete = exchange.response_incomplete.is_some();
        let failed = incomplete || errors::is_transient(exchange.status, exchange.error_class);
        // What succeeded is done; asked again, it is a new request.
        if !failed && exchange.attempt.invocation.is_none() {
            return;
        }
        if self.waiting.len() >= MAX_WAITING {
            self.forget_oldest();
        }
        let asked = exchange.rate_limits.retry_after_ms.unwrap_or(0).min(MAX_WAIT_MS) * 1_000_000;
        let ended_ns = exchange.ended_ns;
        let waiting = Waiting {
            place,
            ended_ns,
            until_ns: ended_ns.saturating_add(WINDOW_NS).saturating_add(asked),
            failed,
        };
        self.waiting.insert(key, waiting);
    }

    pub(super) fn forget_oldest(&mut self) {
        let oldest = self.waiting.iter().min_by_key(|(_, waiting)| waiting.ended_ns);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.waiting.remove(&key);
        }
    }

    /// Forgets requests whose next attempt did not come.
    pub(super) fn tick(&mut self, now_ns: u64) {
        self.waiting.retain(|_, waiting| waiting.until_ns >= now_ns);
    }
}

/// Whether an exchange can be the attempt behind this one.
fn is_next(before: &Waiting, exchange: &Exchange) -> bool {
    let stated = exchange.attempt.stated;
    let counted = stated.is_some_and(|n| before.place.attempt.is_some_and(|b| n > b));
    // A client that counts and says "first" asks something new.
    let first = stated == Some(1);
    let in_time = exchange.started_ns <= before.until_ns;
    in_time && !first && (counted || exchange.attempt.invocation.is_some() || before.failed)
}
