//! Why the kernel programs are not in place, in words that say what to do.

use std::io;

use aya::{
    Ebpf, EbpfError,
    programs::{Program, ProgramError},
};

/// Where the running kernel describes its types.
pub(super) const BTF_FILE: &str = "/sys/kernel/btf/vmlinux";

/// Why the kernel programs are not in place. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Built without the kernel programs.
    #[error("this program was built without the kernel programs: build it with `cargo xtask build`")]
    NoObject,
    /// No BTF.
    #[error(
        "cannot read {BTF_FILE} ({0}): a kernel built with CONFIG_DEBUG_INFO_BTF is needed (Linux 5.8 or later)"
    )]
    NoBtf(io::Error),
    /// Too old.
    #[error("Linux {0} is too old: 5.8 or later is needed (ring buffer of BPF; BTF of the kernel)")]
    KernelTooOld(String),
    /// BTF that cannot be understood.
    #[error("{BTF_FILE}: {0}")]
    BadBtf(#[from] super::btf::BtfError),
    /// Not allowed.
    #[error(
        "not allowed to load kernel programs: run as root, or with the capabilities CAP_BPF, CAP_PERFMON, \
         CAP_SYS_PTRACE and CAP_SYS_ADMIN (perf uprobes need the last one)"
    )]
    NoPrivilege,
    /// The kernel refused a program.
    #[error("the kernel refused program `{program}`: {reason}{log}")]
    Refused {
        /// Name of the program.
        program: String,
        /// What the system call said.
        reason: String,
        /// End of the verifier's log.
        log: String,
    },
    /// A required hook does not exist.
    #[error("cannot attach `{program}`: {reason}; without it {without}")]
    NotAttached {
        /// Name of the program.
        program: &'static str,
        /// What the system call said.
        reason: String,
        /// What is not known without it.
        without: &'static str,
    },
    /// Enforcement is switched on and cannot be.
    #[error(
        "enforcement cannot be put in place: {0}; it needs CAP_NET_ADMIN and cgroups of version 2. Set `enforcement.mode` to off to \
         observe without it (docs/policy.md)"
    )]
    NoEnforcement(String),
    /// Anything else, from the loader.
    #[error("cannot load the kernel programs: {0}")]
    Loader(String),
}

/// Loads a refused program again to have the whole reason.
pub(super) fn refused(ebpf: &mut Ebpf, name: &str) -> LoadError {
    let error = match ebpf.program_mut(name) {
        Some(Program::UProbe(p)) => p.load().err(),
        Some(Program::TracePoint(p)) => p.load().err(),
        Some(Program::RawTracePoint(p)) => p.load().err(),
        Some(Program::CgroupSockAddr(p)) => p.load().err(),
        _ => None,
    };
    match error {
        Some(ProgramError::LoadError {
            io_error,
            verifier_log,
        }) => {
            if io_error.raw_os_error() == Some(libc::EPERM) && verifier_log.to_string().is_empty() {
                return LoadError::NoPrivilege;
            }
            LoadError::Refused {
                program: name.to_owned(),
                reason: io_error.to_string(),
                log: last_lines(&verifier_log.to_string()),
            }
        }
        Some(other) => LoadError::Loader(chain(&other)),
        None => LoadError::Loader(format!("program {name} was refused once and then accepted")),
    }
}

/// Whether it is not this program but the right to load any that is missing.
pub(super) fn is_denied(error: &ProgramError) -> bool {
    matches!(error, ProgramError::LoadError { io_error, verifier_log }
        if io_error.raw_os_error() == Some(libc::EPERM) && verifier_log.to_string().is_empty())
}

/// Why a program that can be done without is not in place: what the system call said and, of a refused one, the verifier's last lines.
pub(super) fn in_words(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => format!("{io_error}{}", last_lines(&verifier_log.to_string())),
        other => chain(other),
    }
}

/// The end of a verifier's log, which says what is wrong, each line on one of its own.
fn last_lines(log: &str) -> String {
    let tail: Vec<&str> = log.lines().rev().take(12).collect();
    tail.into_iter().rev().map(|line| format!("\n  {line}")).collect()
}

pub(super) fn loader_error(error: &EbpfError) -> LoadError {
    let text = chain(error);
    if text.contains("Operation not permitted") {
        LoadError::NoPrivilege
    } else {
        LoadError::Loader(text)
    }
}

/// An error with its causes on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
