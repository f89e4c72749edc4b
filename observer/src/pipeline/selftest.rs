//! The self-test's part of the pipeline: recognises the known call among everything else, and keeps it out of the evidence
//! about AI use. It is read as any other flow is, up to here.

use super::{Pipeline, flows::Flow};
use crate::{flow::Direction, identity::Identity};

/// A call that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCall {
    /// What the helper sends.
    pub sent: Vec<u8>,
    /// What it receives.
    pub received: Vec<u8>,
}

/// The process that makes the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HelperProcess {
    /// Its process id.
    pub pid: u32,
    /// The daemon's, which is its parent.
    pub parent_pid: u32,
}

/// Most bytes of a direction that are kept to compare.
const MAX_TAP: usize = 1024;

/// Last ordered plaintext of one of the helper's flows, by direction: a TLS handle whose end nobody tells is used for one call
/// after the other.
#[derive(Debug, Default)]
pub(super) struct Tap([Vec<u8>; 2]);

impl Tap {
    pub(super) fn take(&mut self, direction: Direction, bytes: &[u8]) {
        let kept = &mut self.0[direction as usize];
        kept.extend_from_slice(bytes);
        kept.drain(..kept.len().saturating_sub(MAX_TAP));
    }
}

#[derive(Debug, Default)]
pub(super) struct SelfTest {
    helper: Option<HelperProcess>,
    call: Option<KnownCall>,
    seen: bool,
}

impl SelfTest {
    /// Whether this process is the helper. A number that was given to another process since has another parent.
    pub(super) fn is_helper(&self, process: &Identity) -> bool {
        self.helper
            .is_some_and(|h| h.pid == process.key.pid && h.parent_pid == process.parent_pid)
    }

    /// Compares what a flow of the helper carried so far.
    pub(super) fn compare(&mut self, flow: &Flow) {
        let (Some(tap), Some(call)) = (&flow.tap, &self.call) else {
            return;
        };
        let [sent, received] = &tap.0;
        self.seen |= sent.ends_with(&call.sent) && received.ends_with(&call.received);
    }
}

impl Pipeline {
    /// From now on this process makes the self-test's calls.
    pub fn selftest_helper(&mut self, helper: HelperProcess) {
        self.selftest.helper = Some(helper);
    }

    /// The next call. What was seen of the one before is forgotten.
    pub fn expect_selftest(&mut self, call: KnownCall) {
        self.selftest.call = Some(call);
        self.selftest.seen = false;
    }

    /// Whether the call was seen whole, in both directions.
    pub fn selftest_seen(&self) -> bool {
        self.selftest.seen
    }
}
