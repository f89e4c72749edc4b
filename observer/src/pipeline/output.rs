//! What comes out of the pipeline, and its sums.

use std::sync::Arc;

use observer_common::{maps::FlowKey, wire::Connect};

use crate::{
    evidence::{ConnectionRow, FindingRow, InteractionRow},
    identity::ProcessKey,
    kernel::enforce::Change,
    policy::Verdict,
};

/// What comes out.
#[derive(Debug)]
pub enum Output {
    /// An interaction and its findings, chain columns not yet set.
    Interaction(Box<InteractionRow>, Vec<FindingRow>),
    /// A connection to an AI endpoint, chain columns not yet set.
    Connection(Box<ConnectionRow>),
    /// The kernel shall treat the flow as this class from now on.
    Decide {
        /// Which flow.
        flow_id: u64,
        /// `observer_common::wire::CLASS_*`.
        class: u32,
    },
    /// The connection is over for the daemon: the kernel's state of its socket can go.
    ForgetSocket {
        /// Which connection: the address may be another's by now.
        connection_id: u64,
        /// Address of the kernel's socket.
        socket: u64,
    },
    /// A connection of which the kernel was told that its socket is not looked at is over: what it was told can go.
    ForgetClass {
        /// Its number, which is that of the socket's own flow.
        connection_id: u64,
    },
    /// A program that was read is not read any more, while its connections to AI go on.
    WentDark {
        /// Its executable.
        executable: String,
        /// Where it connects to.
        server: String,
    },
    /// The kernel's tables of enforcement change.
    Enforce(Change),
    /// A connection that was made is to be cut.
    Cut {
        /// Which one.
        connection_id: u64,
        /// The rule that says so.
        rule_id: Arc<str>,
        /// Whose it is.
        process: ProcessKey,
        /// Its peer.
        connect: Connect,
    },
    /// The flow is over: the kernel's state of it can go.
    Forget {
        /// Which flow.
        flow_id: u64,
        /// Its key in the kernel.
        key: FlowKey,
    },
}

/// Totals for metrics and seals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records taken.
    pub records: u64,
    /// Flows seen.
    pub flows: u64,
    /// AI exchanges finished.
    pub exchanges: u64,
    /// Of these, not read whole.
    pub exchanges_partial: u64,
    /// Exchanges that were no AI.
    pub exchanges_other: u64,
    /// AI exchanges by verdict, in the order of `Verdict::NAMES`.
    pub verdicts: [u64; Verdict::NAMES.len()],
    /// Times that a program which was read went dark.
    pub went_dark: u64,
    /// Decisions of enforcement, in the order of `enforce::Action::NAMES`.
    pub enforced: [u64; 4],
    /// Findings.
    pub findings: u64,
    /// Bytes of text of AI exchanges.
    pub text_seen: u64,
    /// Of these, bytes that were scanned.
    pub text_scanned: u64,
    /// Connections to AI endpoints that ended.
    pub ai_connections: u64,
    /// Of these, decoded.
    pub ai_connections_decoded: u64,
    /// Of these, decoded in part.
    pub ai_connections_partial: u64,
    /// Of these, not readable.
    pub ai_connections_opaque: u64,
    /// Connections to nobody known that could not be read.
    pub unknown_connections_opaque: u64,
}
