//! The probes as data: what is wanted, and what became of it.

/// Where a kernel program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Raw tracepoint of this name.
    RawTracepoint(&'static str),
    /// Tracepoint, category and name.
    Tracepoint(&'static str, &'static str),
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
    HostProbe {
        program: "socket_send",
        hook: Hook::RawTracepoint("sock_send_length"),
        required: false,
        without: "bytes of connections are unknown and TLS handles are not tied to sockets (needs Linux 6.3)",
    },
    HostProbe {
        program: "socket_receive",
        hook: Hook::RawTracepoint("sock_recv_length"),
        required: false,
        without: "received bytes of connections are unknown (needs Linux 6.3)",
    },
];

/// A function of a TLS library and the programs at its entry and return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionProbe {
    /// Exported name.
    pub symbol: &'static str,
    /// Program at the entry.
    pub enter: &'static str,
    /// Program at the return.
    pub exit: Option<&'static str>,
}

/// Functions of libraries with the OpenSSL interface.
pub const OPENSSL: &[FunctionProbe] = &[
    FunctionProbe {
        symbol: "SSL_write",
        enter: "ssl_write_enter",
        exit: Some("ssl_write_exit"),
    },
    FunctionProbe {
        symbol: "SSL_read",
        enter: "ssl_read_enter",
        exit: Some("ssl_read_exit"),
    },
    FunctionProbe {
        symbol: "SSL_write_ex",
        enter: "ssl_write_ex_enter",
        exit: Some("ssl_write_ex_exit"),
    },
    FunctionProbe {
        symbol: "SSL_read_ex",
        enter: "ssl_read_ex_enter",
        exit: Some("ssl_read_ex_exit"),
    },
    FunctionProbe {
        symbol: "SSL_ctrl",
        enter: "ssl_ctrl_enter",
        exit: None,
    },
    FunctionProbe {
        symbol: "SSL_free",
        enter: "handle_free_enter",
        exit: None,
    },
];

/// Names of all programs for functions of TLS stacks.
pub const FUNCTION_PROGRAMS: &[&str] = &[
    "ssl_write_enter",
    "ssl_write_exit",
    "ssl_read_enter",
    "ssl_read_exit",
    "ssl_write_ex_enter",
    "ssl_write_ex_exit",
    "ssl_write_flags_enter",
    "ssl_write_flags_exit",
    "ssl_read_ex_enter",
    "ssl_read_ex_exit",
    "ssl_ctrl_enter",
    "boringssl_write_enter",
    "boringssl_write_exit",
    "boringssl_read_enter",
    "boringssl_read_exit",
    "boringssl_name_enter",
    "gnutls_send_enter",
    "gnutls_send_exit",
    "gnutls_recv_enter",
    "gnutls_recv_exit",
    "gnutls_name_enter",
    "nss_write_enter",
    "nss_write_exit",
    "nss_read_enter",
    "nss_read_exit",
    "nss_name_enter",
    "handle_free_enter",
    "go_write_enter",
    "go_read_enter",
    "go_read_return",
    "aead_seal_enter",
    "aead_open_enter",
    "aead_open_exit",
];

/// Whether a file that defines these functions can be read: it needs a way in and a way out. Old libraries have no
/// `*_ex`, BoringSSL has no `SSL_ctrl` for names.
pub fn is_readable(defines: impl Fn(&str) -> bool) -> bool {
    defines("SSL_write") && defines("SSL_read")
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
    fn a_library_without_both_directions_is_not_readable() {
        assert!(is_readable(|s| ["SSL_write", "SSL_read"].contains(&s)));
        assert!(!is_readable(|s| s == "SSL_write"));
        assert!(!is_readable(|_| false));
    }
}
