//! The reference of the benchmarks: programs that do nothing. The daemon never loads them.

use aya_ebpf::{
    macros::{uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};

/// Cost of an entry probe by itself.
#[uprobe]
pub(crate) fn empty_enter(_ctx: ProbeContext) -> u32 {
    0
}

/// Cost of a return probe by itself.
#[uretprobe]
pub(crate) fn empty_exit(_ctx: RetProbeContext) -> u32 {
    0
}
