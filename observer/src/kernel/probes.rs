//! The probes as data: what is wanted, and what became of it.

use std::collections::BTreeSet;

use crate::stacks::{Call, Kind};

/// Where a kernel program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Raw tracepoint of this name.
    RawTracepoint(&'static str),
    /// Tracepoint, category and name.
    Tracepoint(&'static str, &'static str),
    /// End of a kernel function.
    FunctionExit(&'static str),
}

/// A program that is attached once for the whole host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostProbe {
    /// Name of the program in the object.
    pub program: &'static str,
    /// Where it goes.
    pub hook: Hook,
    /// Without it Observer does not start.
    pub required: bool,
    /// What is not known without it.
    pub without: &'static str,
}

/// All programs that are attached once.
pub const HOST_PROBES: &[HostProbe] = &[
    HostProbe {
        program: "process_exec",
        hook: Hook::RawTracepoint("sched_process_exec"),
        required: true,
        without: "new processes are not seen",
    },
    HostProbe {
        program: "process_exit",
        hook: Hook::RawTracepoint("sched_process_exit"),
        required: true,
        without: "ends of processes are not seen",
    },
    HostProbe {
        program: "map_exec",
        hook: Hook::Tracepoint("syscalls", "sys_enter_mmap"),
        required: false,
        without: "libraries that a running process loads are found by the periodic sweep only",
    },
    HostProbe {
        program: "connect_enter",
        hook: Hook::Tracepoint("syscalls", "sys_enter_connect"),
        required: false,
        without: "descriptors of connections are unknown",
    },
    HostProbe {
        program: "connect_exit",
        hook: Hook::Tracepoint("syscalls", "sys_exit_connect"),
        required: false,
        without: "descriptors of connections are unknown",
    },
    HostProbe {
        program: "socket_state",
        hook: Hook::RawTracepoint("inet_sock_set_state"),
        required: true,
        without: "connections are not seen",
    },
];

/// What tells that both ends of a connection are on this host, for calls that processes answer.
pub const SERVED_CALLS: &[HostProbe] = &[HostProbe {
    program: "socket_established",
    hook: Hook::RawTracepoint("inet_sock_set_state"),
    required: false,
    without: "a call between two programs of this host is two rows, one of each",
}];

const NO_BYTES: &str = "bytes of connections are unknown and TLS handles are not tied to sockets";

const fn exit(program: &'static str, function: &'static str, without: &'static str) -> HostProbe {
    HostProbe {
        program,
        hook: Hook::FunctionExit(function),
        required: false,
        without,
    }
}

/// Socket calls, by the tracepoints that Linux 6.3 brought.
pub const SOCKET_TRACEPOINTS: &[HostProbe] = &[
    HostProbe {
        program: "socket_send",
        hook: Hook::RawTracepoint("sock_send_length"),
        required: false,
        without: NO_BYTES,
    },
    HostProbe {
        program: "socket_receive",
        hook: Hook::RawTracepoint("sock_recv_length"),
        required: false,
        without: NO_BYTES,
    },
];

/// Socket calls by the ends of kernel functions, where there are no such tracepoints.
pub const SOCKET_EXITS: &[HostProbe] = &[
    exit("exit_inet_send", "inet_sendmsg", NO_BYTES),
    exit("exit_inet_receive", "inet_recvmsg", NO_BYTES),
    exit("exit_inet6_send", "inet6_sendmsg", "the same for IPv6"),
    exit("exit_inet6_receive", "inet6_recvmsg", "the same for IPv6"),
    exit(
        "exit_inet_page",
        "inet_sendpage",
        "bytes that sendfile(2) sends are not counted",
    ),
];

/// Program at the calls that carry MCP over standard input and output.
pub const STDIO_PROGRAM: &str = "stdio_call";

const fn stdio(call: &'static str) -> HostProbe {
    HostProbe {
        program: STDIO_PROGRAM,
        hook: Hook::Tracepoint("syscalls", call),
        required: false,
        without: "MCP over standard input and output is not seen",
    }
}

/// Calls that read and write descriptors. One program serves them all.
pub const STDIO_CALLS: &[HostProbe] = &[
    stdio("sys_exit_read"),
    stdio("sys_exit_write"),
    stdio("sys_exit_readv"),
    stdio("sys_exit_writev"),
    stdio("sys_exit_preadv2"),
    stdio("sys_exit_recvfrom"),
    stdio("sys_exit_sendto"),
];

/// The programs for one kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallPrograms {
    /// Program at the entry.
    pub enter: &'static str,
    /// Program at the return, by the kernel's return probe.
    pub exit: Option<&'static str>,
    /// Program at each return instruction, where a return probe would break the program.
    pub at_returns: Option<&'static str>,
}

const fn pair(enter: &'static str, exit: &'static str) -> CallPrograms {
    CallPrograms {
        enter,
        exit: Some(exit),
        at_returns: None,
    }
}

const fn entry(enter: &'static str) -> CallPrograms {
    CallPrograms {
        enter,
        exit: None,
        at_returns: None,
    }
}

/// Programs by stack and call.
const CALL_PROGRAMS: &[(Kind, Call, CallPrograms)] = &[
    (
        Kind::OpenSsl,
        Call::Write,
        pair("ssl_write_enter", "ssl_write_exit"),
    ),
    (Kind::OpenSsl, Call::Read, pair("ssl_read_enter", "ssl_read_exit")),
    (
        Kind::OpenSsl,
        Call::WriteEx { written: 3 },
        pair("ssl_write_ex_enter", "ssl_write_ex_exit"),
    ),
    (
        Kind::OpenSsl,
        Call::WriteEx { written: 4 },
        pair("ssl_write_flags_enter", "ssl_write_flags_exit"),
    ),
    (
        Kind::OpenSsl,
        Call::ReadEx,
        pair("ssl_read_ex_enter", "ssl_read_ex_exit"),
    ),
    (Kind::OpenSsl, Call::ControlName, entry("ssl_ctrl_enter")),
    (Kind::OpenSsl, Call::Free, entry("handle_free_enter")),
    (
        Kind::BoringSsl,
        Call::Write,
        pair("boringssl_write_enter", "boringssl_write_exit"),
    ),
    (
        Kind::BoringSsl,
        Call::Read,
        pair("boringssl_read_enter", "boringssl_read_exit"),
    ),
    (Kind::BoringSsl, Call::ServerName, entry("boringssl_name_enter")),
    (Kind::BoringSsl, Call::Free, entry("handle_free_enter")),
    (
        Kind::GnuTls,
        Call::Write,
        pair("gnutls_send_enter", "gnutls_send_exit"),
    ),
    (
        Kind::GnuTls,
        Call::Read,
        pair("gnutls_recv_enter", "gnutls_recv_exit"),
    ),
    (Kind::GnuTls, Call::GnuTlsName, entry("gnutls_name_enter")),
    (Kind::GnuTls, Call::Free, entry("handle_free_enter")),
    (
        Kind::Nss,
        Call::Write,
        pair("nspr_write_enter", "nspr_write_exit"),
    ),
    (Kind::Nss, Call::Read, pair("nspr_read_enter", "nspr_read_exit")),
    (Kind::Nss, Call::ServerName, entry("nss_name_enter")),
    (Kind::Nss, Call::Free, entry("handle_free_enter")),
    (Kind::GoTls, Call::GoWrite, entry("go_write_enter")),
    (
        Kind::GoTls,
        Call::GoRead,
        CallPrograms {
            enter: "go_read_enter",
            exit: None,
            at_returns: Some("go_read_return"),
        },
    ),
    (Kind::AwsLc, Call::AeadSeal, entry("aead_seal_enter")),
    (
        Kind::AwsLc,
        Call::AeadOpen,
        pair("aead_open_enter", "aead_open_exit"),
    ),
    (Kind::Ring, Call::RingSeal, entry("ring_seal_enter")),
    (
        Kind::Ring,
        Call::RingOpen,
        pair("ring_open_enter", "ring_open_exit"),
    ),
];

/// Programs for a call of a stack; `None` where there are none.
pub fn call_programs(kind: Kind, call: Call) -> Option<CallPrograms> {
    let known = CALL_PROGRAMS.iter().find(|(k, c, _)| (*k, *c) == (kind, call));
    known.map(|(_, _, programs)| *programs)
}

/// Names of all programs that [`call_programs`] can give, each once.
pub fn function_programs() -> BTreeSet<&'static str> {
    let names = CALL_PROGRAMS
        .iter()
        .flat_map(|(_, _, p)| [Some(p.enter), p.exit, p.at_returns]);
    names.flatten().collect()
}

/// What became of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeState {
    /// In place.
    Attached,
    /// Refused, and why.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_never_gets_a_return_probe() {
        for call in [Call::GoWrite, Call::GoRead] {
            assert_eq!(call_programs(Kind::GoTls, call).unwrap().exit, None);
        }
        assert!(
            call_programs(Kind::GoTls, Call::GoRead)
                .unwrap()
                .at_returns
                .is_some()
        );
    }

    #[test]
    fn what_has_no_program_gets_none() {
        assert_eq!(call_programs(Kind::Jsse, Call::Write), None);
        assert!(function_programs().contains("aead_open_exit"));
    }
}
