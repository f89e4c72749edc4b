//! Recorded AI calls through the whole pipeline, and what comes out against their labels.
//!
//! Recordings of this form are no captures (bodies stand joined and decoded), so each call is framed anew: once as
//! HTTP/1.1 and once as HTTP/2, cut into random fragments, on connections that run at the same time. The fragments
//! become records as the kernel writes them. Everything random follows from one seed.

mod coding;
mod connection;
mod hpack;
mod http1;
mod http2;
mod judge;
mod kernel;
mod labels;
pub mod live;
mod recording;
mod report;
mod stated;
pub(crate) mod wire;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::{Outcome, input};
use crate::random::Random;
use connection::Transport;
use recording::Recording;

/// Where the seed may be set, to see whether something depends on it.
const SEED_VARIABLE: &str = "OBSERVER_EVAL_SEED";
const SEED: u64 = 88_172_645_463_325_252;

/// Replays the recordings of a file and compares.
///
/// # Errors
/// As [`super::run`]; a recording that states what no call can be (a body that is not base64, ...), by line.
pub fn run(path: &Path) -> Result<Outcome> {
    let seed = seed()?;
    let recordings = read(path)?;
    eprintln!(
        "{}: {} recordings, seed {seed} ({SEED_VARIABLE} sets another)",
        path.display(),
        recordings.len()
    );
    #[expect(clippy::disallowed_methods, reason = "a replay is timed")]
    let now = Instant::now;
    let mut tallies = Vec::new();
    for transport in [Transport::Http1, Transport::Http2] {
        let started = now();
        let mut random = Random::new(seed);
        let replayed = kernel::replay(&recordings, transport, &mut random)?;
        let tally = judge::judge(&recordings, &replayed);
        eprintln!(
            "{}: {} connections, {} fragments, {} records, {} rows in {:.1} s",
            transport.name(),
            replayed.connections,
            replayed.fragments,
            replayed.records,
            replayed.rows,
            started.elapsed().as_secs_f64()
        );
        replayed
            .losses
            .iter()
            .for_each(|loss| eprintln!("{}: {loss}", transport.name()));
        tallies.push((transport, tally));
    }
    Ok(report::outcome(&tallies))
}

/// All recordings of a file; of other kinds than HTTP calls, how many there are is said.
fn read(path: &Path) -> Result<Vec<Recording>> {
    let rows: Vec<serde_json::Value> = input::rows(path)?;
    let (mut recordings, mut other) = (Vec::new(), 0);
    for (number, row) in (1..).zip(&rows) {
        let at = || format!("{}: recording {number}", path.display());
        match Recording::read(row).with_context(at)? {
            Some(recording) => recordings.push(recording),
            None => other += 1,
        }
    }
    if other > 0 {
        eprintln!("{other} recordings are no HTTP calls and are left out");
    }
    if recordings.is_empty() {
        bail!("{}: no recording of an HTTP call", path.display());
    }
    Ok(recordings)
}

fn seed() -> Result<u64> {
    match std::env::var(SEED_VARIABLE) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{SEED_VARIABLE} must be a number")),
        Err(_) => Ok(SEED),
    }
}

#[cfg(test)]
mod tests;
