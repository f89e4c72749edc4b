//! Go's crypto/tls. Arguments are in registers by Go's own convention (ABIInternal, Go 1.17 and later): the first three
//! integer arguments in rax, rbx, rcx, the goroutine in r14. A return probe would break a stack that Go moves, so the
//! ends of `Read` are probed at its return instructions.

use aya_ebpf::{macros::uprobe, programs::ProbeContext};
use observer_common::{
    counters,
    maps::FlowKey,
    wire::{DIRECTION_RECEIVED, DIRECTION_SENT, STACK_GO},
};

use crate::{
    flow::{self, Plaintext},
    gate::{TLS_RECORD, WHOLE_BODY},
    maps::{GO_READS, GoRead, count},
    task::{observed_pid, thread},
};

/// `func (c *Conn) Write(b []byte) (int, error)`: it writes all or fails, so its entry says what is sent.
#[uprobe]
pub(crate) fn go_write_enter(ctx: ProbeContext) -> u32 {
    let [connection, buffer, len, _] = registers(&ctx);
    if let Some(pid) = observed_pid() {
        deliver(pid, connection, buffer, len, DIRECTION_SENT);
    }
    0
}

/// `func (c *Conn) Read(b []byte) (int, error)`
#[uprobe]
pub(crate) fn go_read_enter(ctx: ProbeContext) -> u32 {
    let [connection, buffer, _, goroutine] = registers(&ctx);
    if let Some(pid) = observed_pid() {
        let key = GoRead {
            pid: u64::from(pid),
            goroutine,
        };
        if GO_READS.insert(&key, &[connection, buffer], 0).is_err() {
            count(counters::LOST_THREADS_FULL, 1);
        }
    }
    0
}

/// A return instruction of `Read`: the number of bytes is in rax.
#[uprobe]
pub(crate) fn go_read_return(ctx: ProbeContext) -> u32 {
    let [read, _, _, goroutine] = registers(&ctx);
    let Some(pid) = observed_pid() else { return 0 };
    let key = GoRead {
        pid: u64::from(pid),
        goroutine,
    };
    // SAFETY: the value is copied at once.
    let Some([connection, buffer]) = (unsafe { GO_READS.get(&key).copied() }) else {
        count(counters::UNMATCHED_RETURN, 1);
        return 0;
    };
    let _ = GO_READS.remove(&key);
    deliver(pid, connection, buffer, read, DIRECTION_RECEIVED);
    0
}

#[inline(always)]
fn deliver(pid: u32, connection: u64, buffer: u64, len: u64, direction: u8) {
    // A length is never negative; a read that failed gives 0.
    if len as i64 <= 0 {
        return;
    }
    let Some(thread) = thread() else { return };
    let key = FlowKey::new(thread.process_start_ns, pid, connection);
    let plaintext = Plaintext {
        stack: STACK_GO,
        direction,
        buffer,
        n: len,
        steps: if direction == DIRECTION_SENT {
            WHOLE_BODY
        } else {
            TLS_RECORD
        },
        // A write is reported when it is entered.
        entered_ns: None,
    };
    flow::deliver(&key, thread, &plaintext);
}

/// First three integer arguments or results, and the goroutine.
#[inline(always)]
fn registers(ctx: &ProbeContext) -> [u64; 4] {
    // SAFETY: the context's registers are readable.
    #[cfg(bpf_target_arch = "aarch64")]
    unsafe {
        let regs = &(*ctx.regs).regs;
        [regs[0], regs[1], regs[2], regs[28]]
    }
    // SAFETY: as above.
    #[cfg(not(bpf_target_arch = "aarch64"))]
    unsafe {
        let regs = &*ctx.regs;
        [regs.rax, regs.rbx, regs.rcx, regs.r14]
    }
}
