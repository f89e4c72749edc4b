//! Keys and values of the kernel maps that the daemon writes or reads.

use core::mem::offset_of;

use crate::wire::{CLASS_UNDECIDED, STACK_STDIO};

/// Longest reversed host pattern in the map of catalogue hosts.
pub const HOST_KEY_LEN: usize = 128;
/// Most names in the table of catalogue hosts. Its nodes are allocated as they are put in.
pub const HOSTS_MAX: u32 = 16_384;

/// Key of the map of flows. A forked child has its own process id; a reused process id has another start.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Start of the process, nanoseconds since boot.
    pub process_start_ns: u64,
    /// Address of the TLS handle.
    pub handle: u64,
    /// Process id.
    pub pid: u32,
    /// Named padding, 0.
    pub pad: u32,
}

/// Offsets, in bytes, of the kernel fields that the programs read, taken from the running kernel's BTF.
/// 0 in `task_start` or `sock_family`: not known, and what depends on it is reported as unknown.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KernelOffsets {
    /// `task_struct.group_leader`
    pub task_group_leader: u32,
    /// `task_struct.start_boottime`
    pub task_start: u32,
    /// `sock.__sk_common.skc_family`
    pub sock_family: u32,
    /// `sock.__sk_common.skc_dport`
    pub sock_dport: u32,
    /// `sock.__sk_common.skc_num`
    pub sock_num: u32,
    /// `sock.__sk_common.skc_daddr`
    pub sock_daddr: u32,
    /// `sock.__sk_common.skc_rcv_saddr`
    pub sock_saddr: u32,
    /// `sock.__sk_common.skc_v6_daddr`
    pub sock_v6_daddr: u32,
    /// `sock.__sk_common.skc_v6_rcv_saddr`
    pub sock_v6_saddr: u32,
    /// `sock.sk_protocol`
    pub sock_protocol: u32,
    /// `sock.__sk_common.skc_state`
    pub sock_state: u32,
    /// `task_struct.files`
    pub task_files: u32,
    /// `files_struct.fdt`
    pub files_fdt: u32,
    /// `fdtable.fd`
    pub fdtable_fd: u32,
    /// `file.f_inode`
    pub file_inode: u32,
    /// `inode.i_mode`. At the start of its structure: whether it is known shows in `file_inode`.
    pub inode_mode: u32,
    /// `socket.sk`
    pub socket_sk: u32,
    /// `task_struct.real_parent`
    pub task_parent: u32,
    /// `task_struct.tgid`
    pub task_tgid: u32,
    /// `task_struct.signal`
    pub task_signal: u32,
    /// `signal_struct.live`
    pub signal_live: u32,
}

impl FlowKey {
    /// Key of a handle of a process.
    pub const fn new(process_start_ns: u64, pid: u32, handle: u64) -> Self {
        Self {
            process_start_ns,
            handle,
            pid,
            pad: 0,
        }
    }

    /// The key as the bytes that the kernel map holds.
    pub fn to_bytes(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.process_start_ns.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.handle.to_ne_bytes());
        bytes[16..20].copy_from_slice(&self.pid.to_ne_bytes());
        bytes
    }

    /// Process id in such bytes.
    pub fn pid_of(bytes: &[u8; 24]) -> u32 {
        u32::from_ne_bytes([bytes[16], bytes[17], bytes[18], bytes[19]])
    }
}

impl KernelOffsets {
    /// The fields in order, as the kernel programs' constant holds them.
    pub fn to_words(&self) -> [u32; 21] {
        [
            self.task_group_leader,
            self.task_start,
            self.sock_family,
            self.sock_dport,
            self.sock_num,
            self.sock_daddr,
            self.sock_saddr,
            self.sock_v6_daddr,
            self.sock_v6_saddr,
            self.sock_protocol,
            self.sock_state,
            self.task_files,
            self.files_fdt,
            self.fdtable_fd,
            self.file_inode,
            self.inode_mode,
            self.socket_sk,
            self.task_parent,
            self.task_tgid,
            self.task_signal,
            self.signal_live,
        ]
    }
}

/// Bytes of a direction that are delivered of a stream that is not decided and does not look like a request with a body.
pub const SMALL_PREFIX: u64 = 4096;

/// Scope gate of a stream of plaintext: how much passed, how much of it was delivered, and what decides.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Gate {
    /// Flow id, see `wire::Header`.
    pub id: u64,
    /// Bytes by direction.
    pub bytes: [u64; 2],
    /// Bytes delivered while undecided, by direction.
    pub delivered: [u64; 2],
    /// Most bytes delivered while undecided, by direction.
    pub prefix: [u64; 2],
    /// `wire::CLASS_*`.
    pub class: u32,
    /// `wire::STACK_*`.
    pub stack: u32,
}

/// Value of the map of flows: state of one TLS flow.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// What of it is delivered.
    pub gate: Gate,
    /// Address of the kernel's socket; 0 while not tied.
    pub socket: u64,
    /// Connection id of that socket.
    pub connection_id: u64,
    /// `wire::TIE_*`.
    pub tie: u32,
    /// Named padding, 0.
    pub pad: u32,
}

/// Value of the map of sockets: state of one connection. The bytes of its gate are what its socket calls transferred.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Socket {
    /// Totals, and what is delivered of plaintext that crosses the socket itself. Its id is that of the connection.
    pub gate: Gate,
    /// Start of the process, nanoseconds since boot.
    pub process_start_ns: u64,
    /// Process that uses it; 0 for an accepted connection that no process has used yet.
    pub pid: u32,
    /// `wire::CLOSE_*` bits.
    pub flags: u32,
    /// 0 until it is bound.
    pub local_port: u32,
    /// `SOCKET_*` bits.
    pub state: u32,
}

/// Most processes whose standard input and output are looked at.
pub const STDIO_MAX: u32 = 4_096;

/// Value of the map of processes whose standard input and output are pipes or sockets: who starts a server that way speaks to it there.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Stdio {
    /// What is delivered. Bytes count from the first message on.
    pub gate: Gate,
    /// Addresses of the kernel's files behind descriptors 0 and 1 when the process began; 0 for not known.
    pub files: [u64; 2],
    /// `STDIO_*` bits.
    pub state: u32,
    /// Named padding, 0.
    pub pad: u32,
}

/// Nothing of its bytes is looked at any more.
pub const STDIO_QUIET: u32 = 1;
/// A message has come in.
pub const STDIO_OPENED: u32 = 2;

impl Stdio {
    /// An entry for a process that was there before the programs, as the bytes that the kernel map holds.
    pub fn older(id: u64, prefix: u64) -> [u8; size_of::<Self>()] {
        let mut bytes = [0; size_of::<Self>()];
        let mut put = |at: usize, word: &[u8]| bytes[at..at + word.len()].copy_from_slice(word);
        put(0, &id.to_ne_bytes());
        put(offset_of!(Gate, prefix), &prefix.to_ne_bytes());
        put(offset_of!(Gate, prefix) + 8, &prefix.to_ne_bytes());
        put(offset_of!(Gate, class), &CLASS_UNDECIDED.to_ne_bytes());
        put(offset_of!(Gate, stack), &u32::from(STACK_STDIO).to_ne_bytes());
        bytes
    }
}

/// The connection was accepted, not made.
pub const SOCKET_ACCEPTED: u32 = 1;
/// Nothing of its bytes is looked at any more.
pub const SOCKET_QUIET: u32 = 2;
/// Its first bytes were looked at.
pub const SOCKET_OPENED: u32 = 4;
/// A datagram socket.
pub const SOCKET_DATAGRAM: u32 = 8;

impl Socket {
    /// Connection id and bytes by direction in the bytes that the kernel map holds.
    pub fn totals(bytes: &[u8; size_of::<Self>()]) -> (u64, [u64; 2]) {
        let word = |at: usize| {
            let mut w = [0; 8];
            w.copy_from_slice(&bytes[at..at + 8]);
            u64::from_ne_bytes(w)
        };
        (word(0), [word(8), word(16)])
    }
}

const _: () = assert!(size_of::<FlowKey>() == 24);
const _: () = assert!(size_of::<KernelOffsets>() == 84);
const _: () = assert!(size_of::<Gate>() == 64 && size_of::<Flow>() == 88 && size_of::<Socket>() == 88);
const _: () = assert!(size_of::<Stdio>() == 88 && offset_of!(Stdio, gate) == 0);
const _: () = assert!(offset_of!(Socket, gate) == 0 && offset_of!(Gate, bytes) == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_its_process_back() {
        let key = FlowKey {
            process_start_ns: 7,
            handle: u64::MAX,
            pid: 0x0102_0304,
            pad: 0,
        };
        assert_eq!(FlowKey::pid_of(&key.to_bytes()), 0x0102_0304);
    }

    #[test]
    fn totals_are_read_from_the_bytes_of_a_socket() {
        let mut bytes = [0u8; size_of::<Socket>()];
        bytes[..8].copy_from_slice(&7u64.to_ne_bytes());
        bytes[8..16].copy_from_slice(&100u64.to_ne_bytes());
        bytes[16..24].copy_from_slice(&200u64.to_ne_bytes());
        assert_eq!(Socket::totals(&bytes), (7, [100, 200]));
    }
}
