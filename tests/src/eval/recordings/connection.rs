//! Which calls share a connection, and what passes on it.

use std::collections::{BTreeMap, VecDeque};

use anyhow::Result;

use super::recording::Recording;
use super::{http1, http2};
use crate::random::Random;

/// Most calls of one connection.
const MAX_CALLS: usize = 4;
/// Largest fragment: what a process hands to its TLS library, or gets from it, at once.
const MAX_FRAGMENT: usize = 9_000;

/// How calls are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// HTTP/1.1, one call after the other.
    Http1,
    /// HTTP/2, calls at the same time.
    Http2,
}

impl Transport {
    /// As it is shown.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        }
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// The client.
    Sent,
    /// The server.
    Received,
}

/// What one side says before the other does.
pub(super) struct Turn {
    pub(super) direction: Direction,
    /// The call whose request begins with the first byte.
    pub(super) begins: Option<usize>,
    pub(super) bytes: Vec<u8>,
}

/// A connection with what is still to pass.
pub(super) struct Connection {
    pub(super) server_name: Option<String>,
    pub(super) fragments: VecDeque<Turn>,
}

/// All connections that the recordings need. A call whose host is not known has one of its own: nothing says that it
/// went where another went.
///
/// # Errors
/// As [`super::coding::coded`].
pub(super) fn connections(
    recordings: &[Recording],
    transport: Transport,
    random: &mut Random,
) -> Result<VecDeque<Connection>> {
    let mut hosts: BTreeMap<&str, Vec<(usize, &Recording)>> = BTreeMap::new();
    let mut groups: Vec<Vec<(usize, &Recording)>> = Vec::new();
    for (call, recording) in recordings.iter().enumerate() {
        if recording.server_name.is_some() {
            hosts
                .entry(&recording.authority)
                .or_default()
                .push((call, recording));
        } else {
            groups.push(vec![(call, recording)]);
        }
    }
    for calls in hosts.values() {
        let mut rest = calls.as_slice();
        while !rest.is_empty() {
            let (some, after) = rest.split_at((1 + random.below(MAX_CALLS)).min(rest.len()));
            groups.push(some.to_vec());
            rest = after;
        }
    }
    groups
        .iter()
        .map(|calls| {
            let turns = match transport {
                Transport::Http1 => {
                    let mut turns = Vec::new();
                    for (call, recording) in calls {
                        turns.extend(http1::turns(*call, recording, random)?);
                    }
                    turns
                }
                Transport::Http2 => http2::turns(calls, random)?,
            };
            Ok(Connection {
                server_name: calls[0].1.server_name.clone(),
                fragments: fragments(turns, random),
            })
        })
        .collect()
}

/// Turns joined where one side goes on, cut again at random. The beginning of a call begins a fragment: its time tells
/// which row is whose.
fn fragments(turns: Vec<Turn>, random: &mut Random) -> VecDeque<Turn> {
    let mut joined: Vec<Turn> = Vec::new();
    for turn in turns {
        match joined.last_mut() {
            Some(last) if last.direction == turn.direction && turn.begins.is_none() => {
                last.bytes.extend(turn.bytes);
            }
            _ => joined.push(turn),
        }
    }
    let mut out = VecDeque::new();
    for turn in joined {
        let mut begins = turn.begins;
        for piece in random.cut(&turn.bytes, MAX_FRAGMENT) {
            out.push_back(Turn {
                direction: turn.direction,
                begins: begins.take(),
                bytes: piece.to_vec(),
            });
        }
    }
    out
}
