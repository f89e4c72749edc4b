//! Why something was not read: a closed list, the same in connection rows, in the blind-spot inventory and in `doctor`.

macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident = $code:literal, $says:literal;)*) => {
        /// Why a connection was not read, or a process cannot be.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum OpaqueReason { $($(#[$meta])* $name,)* }

        impl OpaqueReason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Code in rows and metrics.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What it means, for a person.
            pub fn says(self) -> &'static str {
                match self { $(Self::$name => $says,)* }
            }
        }
    };
}

reasons! {
    /// No TLS stack that Observer knows was found in the process.
    NoProbe = "no_probe", "no TLS stack that Observer can read was found in the process";
    /// The stack is known, a probe was refused.
    AttachFailed = "attach_failed", "a probe was refused";
    /// The probes came after the connection began.
    AttachedLate = "attached_late", "the connection began before the probes were placed, or the process ended before it was examined";
    /// The connection is older than the agent.
    StartedBeforeAgent = "started_before_agent", "the connection is older than the agent";
    /// Records were lost on the way.
    LostEvents = "lost_events", "records were lost (ring buffer full)";
    /// A message was cut.
    Truncated = "truncated", "a message was longer than the budget, or ended early";
    /// What was read is not a protocol that Observer decodes.
    ParseFailed = "parse_failed", "the protocol is not one that Observer decodes";
    /// Excluded by configuration.
    ExcludedByPolicy = "excluded_by_policy", "the executable is excluded by configuration";
    /// Java's own TLS.
    Jsse = "jsse", "Java's TLS is compiled at run time and has no fixed functions";
    /// rustls with ring whose functions were not found.
    Ring = "rustls_ring", "rustls with ring whose functions could not be told apart";
    /// BoringSSL whose functions were not found.
    BoringSsl = "boringssl_stripped", "BoringSSL whose functions could not be told apart";
    /// OpenSSL whose functions were not found.
    StaticOpenSsl = "static_openssl", "OpenSSL inside the program whose functions could not be told apart";
    /// rustls with another provider.
    Rustls = "rustls", "rustls whose cryptography could not be told apart";
    /// Go without a usable table of functions.
    Go = "go_unsupported", "Go without a usable table of functions";
    /// NSS.
    Nss = "nss", "NSS whose library for plaintext (NSPR) was not found";
    /// A TLS library that Observer has no programs for.
    NotSupported = "stack_not_supported", "a TLS library that Observer has no programs for (mbedTLS, wolfSSL, s2n-tls)";
    /// A file of the process was not examined, or not to its end.
    NotExamined = "file_not_examined", "a file that the process has mapped could not be opened, or not be examined: it may have a TLS stack";
    /// QUIC.
    Quic = "quic", "QUIC (HTTP/3), which is sealed from its first byte";
    /// Nothing was said after the handshake.
    NoPlaintext = "no_plaintext", "the handshake failed, or nothing was asked";
    /// A model may run inside the process: it has a file with one mapped.
    ModelFile = "model_file", "a file with a model is mapped: a model may run inside the process, which no connection shows";
    /// A model may run inside the process: it uses a device for computing.
    GpuDevice = "gpu_device", "a device for computing is mapped: a model may run inside the process, which no connection shows";
    /// What was read was no AI exchange.
    NoAiExchange = "no_ai_exchange", "what was read was no AI exchange";
}

/// What discovery knows about the TLS stacks of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readability {
    /// Not looked at, or gone before it was, or not all of its files are examined yet.
    Unknown,
    /// Its stacks have all probes, the last of them since this time (CLOCK_BOOTTIME, ns).
    Readable {
        /// When.
        since_ns: u64,
    },
    /// It has a stack that cannot be read, or a file that may have one.
    Opaque(OpaqueReason),
    /// None of the files that it had mapped at this time (CLOCK_BOOTTIME, ns) has a stack.
    NoStack {
        /// When it was looked at last.
        looked_ns: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let codes: std::collections::BTreeSet<&str> = OpaqueReason::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes.len(), OpaqueReason::ALL.len());
    }
}
