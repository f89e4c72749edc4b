//! Maps and constants set by the daemon before the programs are loaded.

use core::{arch::asm, mem::MaybeUninit};

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf},
};
use observer_common::{
    counters,
    maps::{Flow, FlowKey, HOST_KEY_LEN, HOSTS_MAX, KernelOffsets, STDIO_MAX, Socket, Stdio},
};

/// Records to the daemon. The daemon sets the size at load.
#[map]
pub(crate) static RECORDS: RingBuf = RingBuf::with_byte_size(16 * 1024 * 1024, 0);

/// See `observer_common::counters`.
#[map]
pub(crate) static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counters::COUNT, 0);

/// What a thread is doing, by pid_tgid.
#[map]
pub(crate) static THREADS: HashMap<u64, Thread> = HashMap::with_max_entries(32_768, 0);

/// State of TLS flows.
#[map]
pub(crate) static FLOWS: HashMap<FlowKey, Flow> = HashMap::with_max_entries(65_536, 0);

/// Class that the daemon decided, by flow id. Looked up for undecided flows only.
#[map]
pub(crate) static SCOPES: HashMap<u64, u32> = HashMap::with_max_entries(65_536, 0);

/// Connections, by address of the kernel's socket.
#[map]
pub(crate) static SOCKETS: HashMap<u64, Socket> = HashMap::with_max_entries(65_536, 0);

/// Datagram sockets without a peer of their own that asked a name server, by address of the kernel's socket: which process. Old ones are
/// pushed out.
#[map]
pub(crate) static NAME_ASKERS: LruHashMap<u64, u32> = LruHashMap::with_max_entries(4_096, 0);

/// Processes whose standard input and output are pipes or sockets, by id.
#[map]
pub(crate) static STDIO: HashMap<u32, Stdio> = HashMap::with_max_entries(STDIO_MAX, BPF_F_NO_PREALLOC);

/// `Read` calls of goroutines in progress, by process and goroutine. Goroutines move between threads, and one that is
/// gone leaves its entry behind.
#[map]
pub(crate) static GO_READS: LruHashMap<GoRead, [u64; 2]> = LruHashMap::with_max_entries(16_384, 0);

/// Key of a Go call in progress.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct GoRead {
    pub pid: u64,
    pub goroutine: u64,
}

/// Reversed host names and suffixes of the catalogue.
#[map]
pub(crate) static HOSTS: LpmTrie<[u8; HOST_KEY_LEN], u32> =
    LpmTrie::with_max_entries(HOSTS_MAX, BPF_F_NO_PREALLOC);

/// Source of flow and connection ids, per CPU.
#[map]
pub(crate) static NEXT_ID: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

use crate::gate::Delivery;

/// A TLS call in progress.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub handle: u64,
    pub buffer: u64,
    /// Where `*_ex` calls put the number of bytes; else 0.
    pub done: u64,
    /// Stack pointer at entry: a lower one is the inner call.
    pub stack_pointer: u64,
    /// `wire::STACK_*`.
    pub stack: u64,
    /// When it was entered; 0 where that does not matter.
    pub entered_ns: u64,
}

/// Slots of [`Thread::calls`]: functions, and behind them the same functions once more, for a call that runs inside a call of the same
/// function (TLS inside TLS: a proxy that is spoken to over TLS).
pub(crate) const CALLS: usize = 2 * FUNCTIONS;

/// Functions that are told apart.
pub(crate) const FUNCTIONS: usize = 4;

/// State of one thread.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Thread {
    pub process_start_ns: u64,
    pub calls: [Call; CALLS],
    /// Handle of the last write whose flow has no socket yet; 0 for none.
    pub untied_handle: u64,
    /// Socket that the thread received bytes of last, outside any TLS call; 0 for none.
    pub last_received: u64,
    /// Bit per slot of `calls` that is in progress.
    pub active: u32,
    /// Not 0 while a record is being opened by an AEAD: by which, and of which version.
    pub opening: u32,
    /// Descriptor of a `connect(2)` in progress, plus 1; 0 for none.
    pub connect_fd: u32,
    /// Named padding, 0.
    pub pad: u32,
    /// What is being delivered at the moment.
    pub delivery: MaybeUninit<Delivery>,
}

pub(crate) static NEW_THREAD: Thread = Thread {
    process_start_ns: 0,
    calls: [Call {
        handle: 0,
        buffer: 0,
        done: 0,
        stack_pointer: 0,
        stack: 0,
        entered_ns: 0,
    }; CALLS],
    untied_handle: 0,
    last_received: 0,
    active: 0,
    opening: 0,
    connect_fd: 0,
    pad: 0,
    delivery: MaybeUninit::zeroed(),
};

#[unsafe(no_mangle)]
static DAEMON_PID: u32 = 0;
#[unsafe(no_mangle)]
static OFFSETS: KernelOffsets = KernelOffsets {
    task_group_leader: 0,
    task_start: 0,
    sock_family: 0,
    sock_dport: 0,
    sock_num: 0,
    sock_daddr: 0,
    sock_saddr: 0,
    sock_v6_daddr: 0,
    sock_v6_saddr: 0,
    sock_protocol: 0,
    sock_state: 0,
    task_files: 0,
    files_fdt: 0,
    fdtable_fd: 0,
    file_inode: 0,
    inode_mode: 0,
    socket_sk: 0,
    task_parent: 0,
    task_tgid: 0,
    task_signal: 0,
    signal_live: 0,
};
#[unsafe(no_mangle)]
static PREFIX_LARGE: u64 = 262_144;
#[unsafe(no_mangle)]
static PREFIX_SMALL: u64 = 4_096;
#[unsafe(no_mangle)]
static SERVED_CALLS: u32 = 0;
#[unsafe(no_mangle)]
static MOST_PIECES: u32 = 256;

/// Process id of the daemon, which never observes itself.
pub(crate) fn daemon_pid() -> u32 {
    // SAFETY: reads an initialised static; volatile because the loader changes it after compilation.
    unsafe { core::ptr::read_volatile(&raw const DAEMON_PID) }
}

/// Places of the kernel's fields.
pub(crate) fn offsets() -> KernelOffsets {
    // SAFETY: as in `daemon_pid`.
    unsafe { core::ptr::read_volatile(&raw const OFFSETS) }
}

/// Prefix of an undecided flow that began like a request with a body.
pub(crate) fn prefix_large() -> u64 {
    // SAFETY: as in `daemon_pid`.
    unsafe { core::ptr::read_volatile(&raw const PREFIX_LARGE) }
}

/// Prefix of any other undecided flow.
pub(crate) fn prefix_small() -> u64 {
    // SAFETY: as in `daemon_pid`.
    unsafe { core::ptr::read_volatile(&raw const PREFIX_SMALL) }
}

/// Whether calls that a process answers are read, beside those that it makes.
pub(crate) fn served_calls() -> bool {
    // SAFETY: as in `daemon_pid`.
    unsafe { core::ptr::read_volatile(&raw const SERVED_CALLS) != 0 }
}

/// Most whole pieces of one buffer that the verifier of this kernel walks.
pub(crate) fn most_pieces() -> u32 {
    // SAFETY: as in `daemon_pid`.
    unsafe { core::ptr::read_volatile(&raw const MOST_PIECES) }
}

/// Adds to a counter of `observer_common::counters`.
#[inline(always)]
pub(crate) fn count(index: u32, n: u64) {
    if let Some(c) = COUNTERS.get_ptr_mut(index) {
        // SAFETY: the pointer is to this CPU's value of the map. A task can be preempted here by another that counts, so the addition is
        // one instruction: BPF_XADD, which every kernel has. `core` has no `fetch_add` for this target.
        unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) c, in(reg) n) }
    }
}

/// A new id for a flow or connection: never 0, never used before by this CPU.
#[inline(always)]
pub(crate) fn next_id() -> u64 {
    let Some(next) = NEXT_ID.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: pointer to this CPU's value. The boot time in the upper part keeps two tasks that read the same value
    // apart (they cannot run at the same time on one CPU), and makes ids of two loads differ.
    let n = unsafe {
        *next += 1;
        *next
    };
    let cpu = u64::from(crate::task::cpu());
    (crate::task::now_ns() << 18) ^ (cpu << 10) ^ (n & 0x3ff)
}
