//! Which arguments a function takes from the stack.

use std::collections::{BTreeSet, VecDeque};

use iced_x86::{FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::code::Body;

/// How far stack pointer and frame pointer are below the place that the stack pointer has at entry. `None` where that is not known.
#[derive(Debug, Clone, Copy)]
struct Depth {
    stack: Option<i64>,
    frame: Option<i64>,
}

impl Depth {
    /// Distance of a memory operand from the stack pointer at entry, where it is on the stack.
    fn place(self, i: &Instruction) -> Option<i64> {
        let has_memory = (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Memory);
        if !has_memory || i.mnemonic() == Mnemonic::Lea || i.memory_index() != Register::None {
            return None;
        }
        let depth = match i.memory_base() {
            Register::RSP => self.stack,
            Register::RBP => self.frame,
            _ => None,
        }?;
        i.memory_displacement64().cast_signed().checked_sub(depth)
    }

    /// After an instruction. A call gives back what it takes.
    fn after(mut self, i: &Instruction) -> Self {
        let writes = |register| {
            i.op_count() > 0
                && i.op0_kind() == OpKind::Register
                && i.op0_register().full_register() == register
        };
        let by = match (i.flow_control(), i.mnemonic()) {
            (FlowControl::Call | FlowControl::IndirectCall, _) => Some(0),
            (_, Mnemonic::Sub | Mnemonic::Add) if writes(Register::RSP) => constant(i),
            (_, Mnemonic::Leave) => {
                self = Self {
                    stack: self.frame,
                    frame: None,
                };
                Some(-8)
            }
            (_, Mnemonic::Push | Mnemonic::Pop) => Some(-i64::from(i.stack_pointer_increment())),
            _ if writes(Register::RSP) => None,
            _ => Some(0),
        };
        let is_frame = i.mnemonic() == Mnemonic::Mov
            && i.op1_kind() == OpKind::Register
            && i.op1_register() == Register::RSP;
        if writes(Register::RBP) && i.mnemonic() != Mnemonic::Push {
            self.frame = self.stack.filter(|_| is_frame);
        }
        self.stack = self.stack.zip(by).and_then(|(depth, by)| depth.checked_add(by));
        self
    }
}

/// By how much an addition to the stack pointer, or a subtraction from it, moves it down.
fn constant(i: &Instruction) -> Option<i64> {
    if matches!(i.op1_kind(), OpKind::Register | OpKind::Memory) {
        return None;
    }
    let by = i.immediate(1).cast_signed();
    if i.mnemonic() == Mnemonic::Sub {
        Some(by)
    } else {
        by.checked_neg()
    }
}

/// Where the function reads or writes what its caller put on the stack, as distances from the stack pointer at entry: 8 is its first
/// argument there, 16 the second. Follows every path; what comes behind a call that may not return is looked at last, since the code
/// there need not be its continuation.
pub(super) fn on_stack(body: &Body) -> BTreeSet<i64> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let entry = Depth {
        stack: Some(0),
        frame: None,
    };
    let mut open = VecDeque::from([(0, entry)]);
    while let Some((at, depth)) = open.pop_back() {
        let Some(i) = body.instructions.get(at).filter(|_| seen.insert(at)) else {
            continue;
        };
        found.extend(depth.place(i).filter(|place| *place > 0));
        let after = depth.after(i);
        let target = || body.index(i.near_branch_target()).map(|to| (to, after));
        match i.flow_control() {
            FlowControl::Next => open.push_back((at + 1, after)),
            FlowControl::Call | FlowControl::IndirectCall => open.push_front((at + 1, after)),
            FlowControl::ConditionalBranch => {
                open.push_back((at + 1, after));
                open.extend(target());
            }
            FlowControl::UnconditionalBranch => open.extend(target()),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(bytes: &[u8]) -> Vec<i64> {
        let body = Body::of_bytes(bytes, 0x1000, true, &mut 0).unwrap();
        on_stack(&body).into_iter().collect()
    }

    #[test]
    fn by_the_stack_pointer_whatever_was_pushed() {
        // push rbx; sub rsp,16; mov rax,[rsp+32]; add rsp,16; pop rbx; ret
        let one = [
            0x53, 0x48, 0x83, 0xec, 0x10, 0x48, 0x8b, 0x44, 0x24, 0x20, 0x48, 0x83, 0xc4, 0x10, 0x5b, 0xc3,
        ];
        assert_eq!(places(&one), [8]);
        // push rbx; push [rsp+24]; push [rsp+24]; call; add rsp,16; pop rbx; ret
        let two = [
            0x53, 0xff, 0x74, 0x24, 0x18, 0xff, 0x74, 0x24, 0x18, 0xe8, 0, 0, 0, 0, 0x48, 0x83, 0xc4, 0x10,
            0x5b, 0xc3,
        ];
        assert_eq!(places(&two), [8, 16]);
    }

    #[test]
    fn by_the_frame_pointer_where_the_stack_is_aligned() {
        // push rbp; mov rbp,rsp; and rsp,-64; sub rsp,128; mov rax,[rsp+8]; mov rax,[rbp+16]; leave; ret
        let code = [
            0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xc0, 0x48, 0x81, 0xec, 0x80, 0, 0, 0, 0x48, 0x8b,
            0x44, 0x24, 0x08, 0x48, 0x8b, 0x45, 0x10, 0xc9, 0xc3,
        ];
        assert_eq!(places(&code), [8]);
        // push rbp; mov rbp,rdi; mov rax,[rbp+16]; pop rbp; ret: no frame.
        let no_frame = [0x55, 0x48, 0x89, 0xfd, 0x48, 0x8b, 0x45, 0x10, 0x5d, 0xc3];
        assert_eq!(places(&no_frame), [0i64; 0]);
    }

    #[test]
    fn behind_a_return_the_branch_that_leads_there_says_how_deep_it_is() {
        // push rbx; push rbx; je +3; pop rbx; pop rbx; ret; mov rax,[rsp+32]; pop rbx; pop rbx; ret
        let code = [
            0x53, 0x53, 0x74, 0x03, 0x5b, 0x5b, 0xc3, 0x48, 0x8b, 0x44, 0x24, 0x20, 0x5b, 0x5b, 0xc3,
        ];
        assert_eq!(places(&code), [16]);
        // lea rax,[rsp+8]: an address is no argument. Locals are none, either.
        assert_eq!(
            places(&[0x48, 0x8d, 0x44, 0x24, 0x08, 0x48, 0x8b, 0x44, 0x24, 0xf8, 0xc3]),
            [0i64; 0]
        );
    }
}
