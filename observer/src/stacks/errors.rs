//! Error codes beside references to the name of a source file.
//!
//! BoringSSL and aws-lc put errors with `ERR_put_error(library, 0, reason, file, line)`, newer BoringSSL with `(library, reason, file, line)`.
//! Reason codes hardly ever change, so the set that one function uses tells which function it is.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{FlowControl, Instruction, Register};

use super::{
    code::{Body, Holds, last_write_since},
    examiner::Examiner,
    input::Input,
    scan::Needle,
};

/// Functions that put errors in a source file that is really there; the real ones have dozens.
pub(super) const MIN_PUTTERS: usize = 3;

/// Jumps to one block that are followed back; a dozen errors of one function share a block.
const MAX_JUMPS: usize = 64;

/// A function that puts errors, and with which reasons. Its code is not kept: there may be thousands.
pub(super) struct Putter {
    pub(super) start: u64,
    pub(super) reasons: BTreeSet<u64>,
}

impl Putter {
    pub(super) fn has(&self, all: &[u64]) -> bool {
        all.iter().all(|reason| self.reasons.contains(reason))
    }
}

/// The functions that refer to a source file, with their reasons, in the order of their addresses. A part that the compiler moved away
/// counts as its function.
pub(super) fn putters(examiner: &Examiner<'_, '_>, file: Needle) -> Vec<Putter> {
    let input = examiner.image.input;
    let mut found: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for from in examiner.referring(file) {
        if let Some(body) = examiner.functions.containing(from) {
            let reasons = body.index(from).map(|at| reasons(input, &body, at));
            found
                .entry(body.start)
                .or_default()
                .extend(reasons.unwrap_or_default());
        }
    }
    if found.values().filter(|reasons| !reasons.is_empty()).count() < MIN_PUTTERS {
        // Spoken of, not there: not worth a look at all jumps.
        return Vec::new();
    }
    let mut whole: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for (start, reasons) in found {
        let start = examiner.parent(start);
        whole.entry(start).or_default().extend(reasons);
    }
    let putter = |(start, reasons)| Putter { start, reasons };
    whole.into_iter().map(putter).collect()
}

/// Reasons with which the error that names its file at instruction `at` is put.
fn reasons(input: &Input<'_>, body: &Body, at: usize) -> Vec<u64> {
    let Some(reference) = body.instructions.get(at) else {
        return Vec::new();
    };
    let register = match reference.op0_register().full_register() {
        Register::RCX => Register::RDX,
        Register::RDX => Register::RSI,
        _ => return Vec::new(),
    };
    let call = after(body, at);
    let first = block_start(body, at);
    input.work_on(2 * (call - first));
    if let Some(value) = set_between(body, first, call, register) {
        return vec![value];
    }
    // Set before the jump to a block that several errors share.
    input.work_on(body.instructions.len());
    jumps_into(body, first, at)
        .take(MAX_JUMPS)
        .map_while(|jump| {
            let start = block_start(body, jump);
            input
                .work_on(2 * (jump - start))
                .then(|| set_between(body, start, jump, register))
        })
        .flatten()
        .collect()
}

/// Index of the call or jump that ends the block after `at`.
fn after(body: &Body, at: usize) -> usize {
    let ends = |i: &Instruction| i.flow_control() != FlowControl::Next;
    body.instructions
        .iter()
        .skip(at)
        .position(ends)
        .map_or(body.instructions.len(), |n| n + at)
}

/// Index behind the last instruction before `at` that does not fall through, or that is a call.
fn block_start(body: &Body, at: usize) -> usize {
    let falls = |i: &Instruction| {
        matches!(
            i.flow_control(),
            FlowControl::Next | FlowControl::ConditionalBranch
        )
    };
    body.instructions
        .get(..at)
        .and_then(|before| before.iter().rposition(|i| !falls(i)))
        .map_or(0, |n| n + 1)
}

/// Value that `register` has at `to`, if an instruction from `from` on sets it.
fn set_between(body: &Body, from: usize, to: usize, register: Register) -> Option<u64> {
    match last_write_since(body, from, to, register)? {
        (_, Holds::Value(value)) => Some(value),
        _ => None,
    }
}

/// Indices of jumps of the function that lead to one of the instructions `first..=last`.
fn jumps_into(body: &Body, first: usize, last: usize) -> impl Iterator<Item = usize> {
    let place = |n: usize| body.instructions.get(n).map(Instruction::ip);
    let (low, high) = (place(first).unwrap_or(u64::MAX), place(last).unwrap_or(0));
    body.instructions
        .iter()
        .enumerate()
        .filter(move |(_, i)| {
            (i.is_jmp_short_or_near() || i.is_jcc_short_or_near())
                && (low..=high).contains(&i.near_branch_target())
        })
        .map(|(n, _)| n)
}
