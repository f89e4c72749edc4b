//! Error codes beside references to the name of a source file.
//!
//! BoringSSL and aws-lc put errors with `ERR_put_error(library, 0, reason, file, line)`, newer BoringSSL with `(library, reason, file, line)`.
//! Reason codes hardly ever change, so the set that one function uses tells which function it is.

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{FlowControl, Instruction, Register};

use super::{
    code::{Body, Holds, last_write},
    examiner::Examiner,
    scan::Needle,
};

/// Functions that put errors in a source file that is really there; the real ones have dozens.
pub(super) const MIN_PUTTERS: usize = 3;

/// A function that puts errors, and with which reasons.
pub(super) struct Putter {
    pub(super) body: Body,
    pub(super) reasons: BTreeSet<u64>,
}

impl Putter {
    pub(super) fn has(&self, all: &[u64]) -> bool {
        all.iter().all(|reason| self.reasons.contains(reason))
    }
}

/// The functions that refer to a source file, with their reasons, in the order of their addresses.
pub(super) fn putters(examiner: &Examiner<'_, '_>, file: Needle) -> Vec<Putter> {
    let mut found: BTreeMap<u64, Putter> = BTreeMap::new();
    for from in examiner.referring(file) {
        let Some(body) = examiner.functions.containing(from) else {
            continue;
        };
        let reasons = body.index(from).map(|at| reasons(&body, at)).unwrap_or_default();
        found
            .entry(body.start)
            .or_insert_with(|| Putter {
                body,
                reasons: BTreeSet::new(),
            })
            .reasons
            .extend(reasons);
    }
    found.into_values().collect()
}

/// Reasons with which the error that names its file at instruction `at` is put.
fn reasons(body: &Body, at: usize) -> Vec<u64> {
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
    let mut found = Vec::new();
    match set_between(body, first, call, register) {
        Some(value) => found.push(value),
        // Set before the jump to a block that several errors share.
        None => found.extend(
            jumps_into(body, first, at)
                .filter_map(|jump| set_between(body, block_start(body, jump), jump, register)),
        ),
    }
    found
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
    match last_write(body, to, register)? {
        (at, Holds::Value(value)) if at >= from => Some(value),
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
