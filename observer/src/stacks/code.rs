//! Machine code of x86-64: functions as instructions, and where in them a probe may stand.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};

use super::image::Image;

/// Bytes of one function that are looked at.
pub(super) const MAX_FUNCTION: usize = 64 * 1024;

/// Instructions after the entry within which a cheaper place is looked for.
const MAX_LATER: usize = 12;

/// A function: its instructions in the order of their addresses.
pub(super) struct Body {
    pub(super) start: u64,
    /// Address behind the last instruction.
    pub(super) end: u64,
    pub(super) instructions: Vec<Instruction>,
}

impl Body {
    /// Decodes from `start`, at most to `end`. It stops where the function can go no further: at an instruction that does not
    /// fall through and behind which no branch of it leads. With `known_end`, it goes to `end` whatever comes.
    ///
    /// `None` when an instruction is not valid.
    pub(super) fn decode(image: &Image<'_>, start: u64, end: u64, known_end: bool) -> Option<Self> {
        image.code_offset(start)?;
        if image.input.is_exhausted() {
            return None;
        }
        let len = usize::try_from(end.checked_sub(start)?)
            .unwrap_or(MAX_FUNCTION)
            .min(MAX_FUNCTION);
        let bytes = image.bytes(start, len);
        let mut decoded = 0;
        let body = Self::of_bytes(&bytes, start, known_end, &mut decoded);
        image.input.work_on(decoded);
        body
    }

    /// As [`Self::decode`], from bytes; counts the instructions on the way.
    pub(super) fn of_bytes(bytes: &[u8], start: u64, known_end: bool, decoded: &mut usize) -> Option<Self> {
        let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
        let limit = start.checked_add(bytes.len() as u64)?;
        let mut instructions = Vec::new();
        let mut furthest = start;
        while decoder.can_decode() {
            let instruction = decoder.decode();
            *decoded += 1;
            if instruction.is_invalid() {
                // Data or the next function: an error only while the function must go on.
                if !known_end && furthest >= instruction.ip() || instruction.next_ip() >= limit {
                    return None;
                }
                break;
            }
            instructions.push(instruction);
            if let Some(target) = branch(&instruction)
                && target < limit
            {
                furthest = furthest.max(target);
            }
            let stops = matches!(
                instruction.flow_control(),
                FlowControl::Return
                    | FlowControl::UnconditionalBranch
                    | FlowControl::IndirectBranch
                    | FlowControl::Exception
                    | FlowControl::Interrupt
            );
            if stops && !known_end && furthest < instruction.next_ip() {
                break;
            }
        }
        let end = instructions.last()?.next_ip();
        Some(Self {
            start,
            end,
            instructions,
        })
    }

    /// Index of the instruction at an address; `None` between instructions.
    pub(super) fn index(&self, address: u64) -> Option<usize> {
        self.instructions
            .binary_search_by_key(&address, Instruction::ip)
            .ok()
    }

    pub(super) const fn size(&self) -> u64 {
        self.end - self.start
    }

    /// Targets of direct calls, and of jumps that leave the function.
    pub(super) fn reaches(&self) -> Vec<u64> {
        let mut all: Vec<u64> = self.sites().map(|(_, target)| target).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Places from which other functions are called or jumped to, with their targets.
    pub(super) fn sites(&self) -> impl Iterator<Item = (usize, u64)> {
        self.instructions.iter().enumerate().filter_map(|(n, i)| {
            let target = if i.is_call_near() {
                i.near_branch_target()
            } else {
                branch(i).filter(|to| *to < self.start || *to >= self.end)?
            };
            Some((n, target))
        })
    }

    /// Addresses of its returns.
    pub(super) fn returns(&self) -> Vec<u64> {
        self.instructions
            .iter()
            .filter(|i| i.flow_control() == FlowControl::Return)
            .map(Instruction::ip)
            .collect()
    }

    /// Whether its first instructions can be the start of a function.
    pub(super) fn starts_like_a_function(&self) -> bool {
        self.instructions.first().is_some_and(|first| {
            !matches!(
                first.mnemonic(),
                Mnemonic::Leave
                    | Mnemonic::Pop
                    | Mnemonic::Hlt
                    | Mnemonic::In
                    | Mnemonic::Out
                    | Mnemonic::Add
            ) && !matches!(
                first.flow_control(),
                FlowControl::Return
                    | FlowControl::Interrupt
                    | FlowControl::Exception
                    | FlowControl::ConditionalBranch
            )
        })
    }

    /// Where a probe on the entry may stand: the first instruction that the kernel emulates and that is passed once by every call,
    /// with the arguments in `needed` still in their registers. The entry itself when there is none.
    ///
    /// `past_checks` lets it stand behind a conditional branch, as behind Go's check of the stack, which starts again at the entry.
    pub(super) fn later_place(&self, needed: &[Register], past_checks: bool) -> (u64, bool) {
        let entry_is_cheap = self.instructions.first().is_some_and(is_cheap);
        let fallback = (self.start, entry_is_cheap);
        if entry_is_cheap && !past_checks {
            return fallback;
        }
        let mut factory = InstructionInfoFactory::new();
        let mut checked = !past_checks;
        for (n, instruction) in self.instructions.iter().take(MAX_LATER).enumerate() {
            if n > 0 && self.is_entered_between(instruction.ip()) {
                return fallback;
            }
            if checked && is_cheap(instruction) {
                return (instruction.ip(), true);
            }
            let passes = match instruction.flow_control() {
                FlowControl::Next => true,
                FlowControl::ConditionalBranch => past_checks && !checked,
                _ => false,
            };
            if !passes || writes(&mut factory, instruction, needed) {
                return fallback;
            }
            checked |= instruction.flow_control() == FlowControl::ConditionalBranch;
        }
        fallback
    }

    /// Whether a branch of the function leads behind its entry and not behind `place`.
    fn is_entered_between(&self, place: u64) -> bool {
        self.instructions
            .iter()
            .filter_map(branch)
            .any(|to| to > self.start && to <= place)
    }
}

/// Target of a direct jump.
fn branch(instruction: &Instruction) -> Option<u64> {
    (instruction.is_jmp_short_or_near() || instruction.is_jcc_short_or_near())
        .then(|| instruction.near_branch_target())
}

fn writes(factory: &mut InstructionInfoFactory, instruction: &Instruction, needed: &[Register]) -> bool {
    factory
        .info(instruction)
        .used_registers()
        .iter()
        .any(|used| is_write(used.access()) && needed.contains(&used.register().full_register()))
}

const fn is_write(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}

const fn is_read(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}

/// Whether the kernel emulates an instruction under a probe instead of executing it out of line with a single step
/// (`arch/x86/kernel/uprobes.c`, `branch_setup_xol_ops` and `push_setup_xol_ops`): pushes of a register, relative calls and jumps,
/// nops. Longer nops are emulated by newer kernels only, but cost nothing more than others in older ones.
pub(super) fn is_cheap(instruction: &Instruction) -> bool {
    match instruction.code() {
        Code::Push_r64 | Code::Call_rel32_64 | Code::Jmp_rel8_64 | Code::Jmp_rel32_64 => true,
        _ => instruction.mnemonic() == Mnemonic::Nop || instruction.is_jcc_short_or_near(),
    }
}

/// What a register holds before an instruction, as far as the instructions before it say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// An immediate value.
    Value(u64),
    /// An address on the stack.
    Stack,
    /// What the caller gave in a register, never written here.
    Argument,
    /// Something else.
    Other,
}

/// The last instruction before `at`, in address order, that writes `register`, and what it leaves there. `None` where there is none, or
/// a call stands between.
pub(super) fn last_write(body: &Body, at: usize, register: Register) -> Option<(usize, Holds)> {
    last_write_since(body, 0, at, register)
}

/// As [`last_write`], and not before the instruction `from`.
pub(super) fn last_write_since(
    body: &Body,
    from: usize,
    at: usize,
    register: Register,
) -> Option<(usize, Holds)> {
    let mut factory = InstructionInfoFactory::new();
    for (n, i) in body.instructions.iter().enumerate().take(at).skip(from).rev() {
        if is_call(i) {
            return None;
        }
        if writes(&mut factory, i, &[register]) {
            return Some((n, value_of(body, n, i)));
        }
    }
    None
}

fn is_call(i: &Instruction) -> bool {
    matches!(i.flow_control(), FlowControl::Call | FlowControl::IndirectCall)
}

/// What `register` holds at instruction `at`: looks back in address order to its last write.
pub(super) fn holds(body: &Body, at: usize, register: Register) -> Holds {
    match last_write(body, at, register) {
        Some((_, held)) => held,
        None if body.instructions.iter().take(at).any(is_call) => Holds::Other,
        None => Holds::Argument,
    }
}

fn value_of(body: &Body, at: usize, i: &Instruction) -> Holds {
    let on_stack = |r: Register| matches!(r.full_register(), Register::RSP | Register::RBP);
    match i.mnemonic() {
        Mnemonic::Mov if matches!(i.op1_kind(), OpKind::Register) && i.op1_register() == Register::RSP => {
            Holds::Stack
        }
        Mnemonic::Mov if i.op1_kind() != OpKind::Register && i.op1_kind() != OpKind::Memory => {
            Holds::Value(i.immediate(1))
        }
        Mnemonic::Xor | Mnemonic::Sub
            if i.op0_kind() == i.op1_kind() && i.op0_register() == i.op1_register() =>
        {
            Holds::Value(0)
        }
        Mnemonic::Lea if on_stack(i.memory_base()) => Holds::Stack,
        // `push 20; pop rdi`: small code.
        Mnemonic::Pop => match at.checked_sub(1).and_then(|n| body.instructions.get(n)) {
            Some(push) if push.mnemonic() == Mnemonic::Push && push.op0_kind() != OpKind::Register => {
                Holds::Value(push.immediate(0))
            }
            _ => Holds::Other,
        },
        _ => Holds::Other,
    }
}

/// Whether the function reads a register that it has not written, before its first call: then it is an argument.
pub(super) fn takes(body: &Body, register: Register) -> bool {
    let mut factory = InstructionInfoFactory::new();
    for i in &body.instructions {
        if is_call(i) {
            return false;
        }
        let used = factory.info(i).used_registers();
        let touching = || used.iter().filter(|u| u.register().full_register() == register);
        // `xor r8d, r8d` reads nothing.
        let clears = matches!(i.mnemonic(), Mnemonic::Xor | Mnemonic::Sub)
            && i.op1_kind() == OpKind::Register
            && i.op0_register() == i.op1_register();
        if !clears && touching().any(|u| is_read(u.access())) {
            return true;
        }
        if touching().any(|u| is_write(u.access())) {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: &[u8]) -> Body {
        Body::of_bytes(bytes, 0x1000, false, &mut 0).unwrap()
    }

    #[test]
    fn pushes_nops_calls_and_jumps_are_cheap_and_others_are_not() {
        for (bytes, cheap) in [
            (&[0x55][..], true),
            (&[0x41, 0x57], true),
            (&[0x90], true),
            (&[0x0f, 0x1f, 0x44, 0, 0], true),
            (&[0xe8, 0, 0, 0, 0], true),
            (&[0xf3, 0x0f, 0x1e, 0xfa], false),
            (&[0x48, 0x83, 0xec, 0x18], false),
            (&[0x6a, 0x10], false),
            (&[0xff, 0x75, 0x08], false),
        ] {
            let mut bytes = bytes.to_vec();
            bytes.push(0xc3);
            assert_eq!(is_cheap(&body(&bytes).instructions[0]), cheap, "{bytes:x?}");
        }
    }

    #[test]
    fn a_function_ends_where_nothing_leads_further() {
        // test edi,edi; je +1 (behind the ret); ret; xor eax,eax; ret; then another function.
        let b = body(&[0x85, 0xff, 0x74, 0x01, 0xc3, 0x31, 0xc0, 0xc3, 0x55, 0xc3]);
        assert_eq!(b.end, 0x1008);
        assert_eq!(b.returns(), [0x1004, 0x1007]);
        assert_eq!(b.index(0x1005), Some(3));
        assert_eq!(b.index(0x1006), None);
    }

    #[test]
    fn a_probe_moves_to_the_push_unless_an_argument_is_written_or_a_branch_leads_between() {
        let endbr = [0xf3, 0x0f, 0x1e, 0xfa];
        let later =
            |rest: &[u8], needed: &[Register]| body(&[&endbr, rest].concat()).later_place(needed, false);
        let args = [Register::RDI, Register::RSI];
        assert_eq!(later(&[0x55, 0xc3], &args), (0x1004, true));
        // mov edi, eax; push rbp
        assert_eq!(later(&[0x89, 0xc7, 0x55, 0xc3], &args), (0x1000, false));
        assert_eq!(later(&[0x89, 0xc7, 0x55, 0xc3], &[Register::RSI]), (0x1006, true));
        // push rbp; then a jump back to it.
        assert_eq!(later(&[0x55, 0xeb, 0xfd], &args), (0x1000, false));
        // test edi,edi; je +1; push rbp; ret: calls that branch away would be missed.
        assert_eq!(
            later(&[0x85, 0xff, 0x74, 0x01, 0x55, 0xc3], &args),
            (0x1004 + 2, true)
        );
    }

    #[test]
    fn behind_the_stack_check_of_go() {
        // cmp rsp,[r14+16]; jbe +3; push rbp; pop rbp; ret; call 0x1000...; jmp 0x1000
        let b = body(&[
            0x49, 0x3b, 0x66, 0x10, 0x76, 0x03, 0x55, 0x5d, 0xc3, 0xe8, 0xf2, 0xff, 0xff, 0xff, 0xeb, 0xf0,
        ]);
        assert_eq!(b.later_place(&[Register::RAX], true), (0x1006, true));
    }

    #[test]
    fn what_registers_hold() {
        // lea r8,[rsp+8]; xor ecx,ecx; mov esi,5; call
        let b = body(&[
            0x4c, 0x8d, 0x44, 0x24, 0x08, 0x31, 0xc9, 0xbe, 5, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0xc3,
        ]);
        let at = |register| holds(&b, 3, register);
        assert_eq!(at(Register::R8), Holds::Stack);
        assert_eq!(at(Register::RCX), Holds::Value(0));
        assert_eq!(at(Register::RSI), Holds::Value(5));
        assert_eq!(at(Register::RDI), Holds::Argument);
        assert!(!takes(&b, Register::R8));
        // mov rbx, r8; ret
        assert!(takes(&body(&[0x4c, 0x89, 0xc3, 0xc3]), Register::R8));
    }
}
