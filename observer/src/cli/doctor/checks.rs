//! Judgements on what was read from the host. Pure: texts and facts in, lines out.

use crate::{
    config::{self, yaml::Problem},
    kernel::{
        attach::{AttachedStack, TlsFile},
        btf::{Btf, kernel_offsets},
        probes::{Hook, HostProbe, ProbeState, STDIO_PROGRAM},
        procfs::mounts,
    },
    report::text,
};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// Observer works, and does not see everything.
    Warning,
    /// Observer does not work.
    Failure,
}

impl State {
    /// Name in both forms of the output.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    /// What was looked at.
    pub name: String,
    /// How it ended.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do; empty where nothing is to be done.
    pub advice: String,
}

fn check(name: &str, state: State, found: impl Into<String>, advice: impl Into<String>) -> Check {
    Check {
        name: name.to_owned(),
        state,
        found: found.into(),
        advice: advice.into(),
    }
}

pub(super) fn ok(name: &str, found: impl Into<String>) -> Check {
    check(name, State::Ok, found, "")
}

pub(super) fn warning(name: &str, found: impl Into<String>, advice: impl Into<String>) -> Check {
    check(name, State::Warning, found, advice)
}

pub(super) fn failure(name: &str, found: impl Into<String>, advice: impl Into<String>) -> Check {
    check(name, State::Failure, found, advice)
}

/// Release as `uname -r` gives it.
pub(super) fn kernel(release: &str) -> Check {
    const NAME: &str = "kernel version";
    let Some(version) = version(release) else {
        return warning(
            NAME,
            text::safe(release),
            "this version cannot be read; Linux 5.8 or newer is needed",
        );
    };
    match version {
        (..=4, _) | (5, ..8) => failure(
            NAME,
            release,
            "Linux 5.8 or newer is needed (ring buffer, BTF of the kernel)",
        ),
        (5, _) | (6, ..6) => ok(
            NAME,
            format!("{release} (6.6 and newer can attach uprobes in one call, which is not needed)"),
        ),
        _ => ok(NAME, release),
    }
}

/// Major and minor number at the beginning of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Type information of the kernel.
pub(super) fn btf(bytes: Result<&[u8], String>) -> Check {
    const NAME: &str = "BTF";
    const NEEDED: &str = "a kernel built with CONFIG_DEBUG_INFO_BTF=y is needed; /sys must be mounted";
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => return failure(NAME, format!("/sys/kernel/btf/vmlinux: {error}"), NEEDED),
    };
    match Btf::parse(bytes).map(|btf| kernel_offsets(&btf).1) {
        Err(error) => failure(NAME, format!("/sys/kernel/btf/vmlinux: {error}"), NEEDED),
        Ok(missing) if missing.is_empty() => ok(
            NAME,
            format!("{}, all fields found", text::bytes(bytes.len() as u64)),
        ),
        Ok(missing) => warning(
            NAME,
            missing.join("; "),
            "what these fields tell is unknown in every row",
        ),
    }
}

/// Capabilities that Observer uses: number (linux/capability.h), name, what for, and whether it works without.
const CAPABILITIES: [(u32, &str, &str, bool); 6] = [
    (39, "CAP_BPF", "to load kernel programs", true),
    (38, "CAP_PERFMON", "to attach them", true),
    (
        21,
        "CAP_SYS_ADMIN",
        "for uprobes through perf events and to mount tracefs",
        true,
    ),
    (
        19,
        "CAP_SYS_PTRACE",
        "to see which libraries other processes have mapped",
        true,
    ),
    (
        2,
        "CAP_DAC_READ_SEARCH",
        "to open libraries that only others may read",
        false,
    ),
    (
        40,
        "CAP_CHECKPOINT_RESTORE",
        "to open libraries that were deleted since they were mapped",
        false,
    ),
];

/// Text of `/proc/self/status` (proc(5)): the effective set.
pub(super) fn capabilities(status: &str) -> Check {
    const NAME: &str = "capabilities";
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(set) = line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()) else {
        return warning(
            NAME,
            "no CapEff in /proc/self/status",
            "it is not known whether the rights suffice",
        );
    };
    let missing: Vec<_> = CAPABILITIES
        .iter()
        .filter(|(bit, ..)| set >> bit & 1 == 0)
        .collect();
    let names = |all: &[&(u32, &str, &str, bool)]| {
        all.iter()
            .map(|(_, name, why, _)| format!("{name} ({why})"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    if missing.is_empty() {
        let all: Vec<&str> = CAPABILITIES.iter().map(|(_, name, ..)| *name).collect();
        return ok(NAME, all.join(", "));
    }
    let found = format!("missing: {}", names(&missing));
    if missing.iter().any(|(.., needed)| *needed) {
        failure(NAME, found, "run as root, or give the program these capabilities")
    } else {
        warning(NAME, found, "give the program these capabilities too")
    }
}

/// Mount points of a type of file system.
fn mount_points<'a>(mountinfo: &'a str, fs_type: &'a str) -> Vec<&'a str> {
    mounts(mountinfo, fs_type).map(|(_, point)| point).collect()
}

/// The unified hierarchy of control groups.
pub(super) fn cgroup_v2(mountinfo: &str) -> Check {
    const NAME: &str = "cgroup v2";
    match mount_points(mountinfo, "cgroup2").as_slice() {
        [] => warning(
            NAME,
            "not mounted",
            "containers are named by what /proc/PID/cgroup says, which may be another hierarchy",
        ),
        points => ok(NAME, text::safe(&points.join(", "))),
    }
}

/// The file system that numbers tracepoints.
pub(super) fn tracefs(mountinfo: &str) -> Check {
    const NAME: &str = "tracefs";
    match mount_points(mountinfo, "tracefs").as_slice() {
        [] => ok(
            NAME,
            "not mounted; Observer mounts it for itself while it attaches, the host does not see that",
        ),
        points => ok(NAME, text::safe(&points.join(", "))),
    }
}

/// Target of `/proc/self/ns/pid`.
pub(super) fn pid_namespace(link: Result<&str, String>) -> Check {
    /// `PROC_PID_INIT_INO` of linux/proc_ns.h: the number that the initial namespace has on every kernel.
    const INITIAL: &str = "pid:[4026531836]";
    const NAME: &str = "pid namespace";
    match link {
        Ok(INITIAL) => ok(NAME, "the host's"),
        Ok(other) => failure(
            NAME,
            format!("{}, not the host's", text::safe(other)),
            "process ids of the kernel's records mean others here: start the container with the host's pid namespace \
             (hostPID: true, --pid=host)",
        ),
        Err(error) => warning(
            NAME,
            format!("/proc/self/ns/pid: {error}"),
            "/proc must be mounted",
        ),
    }
}

/// A program that is attached once for the host.
pub(super) fn host_probe(probe: &HostProbe, state: &ProbeState) -> Check {
    let name = match probe.hook {
        // One program for several calls.
        Hook::Tracepoint(_, call) if probe.program == STDIO_PROGRAM => {
            format!("hook {} at {call}", probe.program)
        }
        _ => format!("hook {}", probe.program),
    };
    match state {
        ProbeState::Attached => ok(&name, "loads and attaches"),
        ProbeState::Failed(reason) => {
            warning(&name, text::safe(reason), format!("without it {}", probe.without))
        }
    }
}

/// A function program that the kernel does not take.
pub(super) fn refused(program: &str, reason: &str) -> Check {
    warning(
        &format!("program {program}"),
        reason,
        "the kernel refused it; calls of that kind are not read",
    )
}

/// Whether what crosses sockets in clear is read.
pub(super) fn socket_calls(tracepoints: bool) -> Check {
    const NAME: &str = "hook what crosses sockets in clear";
    if tracepoints {
        return ok(NAME, "is read");
    }
    warning(
        NAME,
        "this kernel has no tracepoints of socket calls (Linux 6.3 brought them)",
        "without them AI without TLS, QUIC, and server names by ClientHello and name servers are not seen",
    )
}

/// A file with TLS stacks in it.
pub(super) fn tls_file(file: &TlsFile) -> Check {
    let name = format!("TLS library {}", text::safe(&file.path));
    if let Some(reason) = file.failure() {
        return warning(&name, text::safe(reason), "calls through this file are not read");
    }
    let stacks: Vec<String> = file.stacks.iter().map(tls_stack).collect();
    ok(&name, stacks.join("; "))
}

fn tls_stack(stack: &AttachedStack) -> String {
    let version = stack.version.as_deref().unwrap_or("version not stated");
    let what = format!(
        "{} ({}), by {}",
        stack.kind.name(),
        text::safe(version),
        stack.how.name()
    );
    match stack.opaque {
        None => format!("{what}: {}", text::plural(stack.probes.len(), "function")),
        Some(reason) => format!("{what}: not readable: {}", reason.says()),
    }
}

/// All files with a TLS library together.
pub(super) fn tls_files(count: usize) -> Check {
    const NAME: &str = "TLS libraries";
    match count {
        0 => warning(
            NAME,
            "none found",
            "nothing can be read until a program with a known TLS library runs",
        ),
        n => ok(NAME, text::plural(n, "file")),
    }
}

/// A directory that the daemon writes to: `writable` tells it of the directory itself or, where that does not exist
/// yet, of the nearest one above that does.
pub(super) fn directory(name: &str, path: &str, exists: bool, writable: bool) -> Check {
    let path = text::safe(path);
    match (exists, writable) {
        (true, true) => ok(name, path),
        (false, true) => ok(name, format!("{path} (will be made)")),
        (_, false) => failure(
            name,
            format!("{path} cannot be written"),
            format!("change its owner, or set `{name}` elsewhere"),
        ),
    }
}

/// The spool: what it may hold, and whether there is room for it. `room`: free bytes of its file system.
pub(super) fn spool(spool: &config::Spool, room: Option<u64>) -> Check {
    const NAME: &str = "spool";
    const MIB: u64 = 1 << 20;
    let path = text::safe(&spool.directory.display().to_string());
    let fsync = if spool.fsync { "" } else { ", without fsync" };
    let found = format!("{path}, up to {} MiB{fsync}", spool.max_bytes / MIB);
    match room {
        Some(room) if room < spool.max_bytes => warning(
            NAME,
            format!("{found}, {} MiB free", room / MIB),
            "a store that is away for long then fills the disk: lower `spool.max_bytes` or make room",
        ),
        _ if !spool.fsync => warning(
            NAME,
            found,
            "a power cut can lose rows that are sealed: set `spool.fsync` to on",
        ),
        _ => ok(NAME, found),
    }
}

/// The rules for sensitive data: how many are in use, and which are not.
pub(super) fn rules(in_use: usize, left_out: &[Problem]) -> Check {
    let Some(first) = left_out.first() else {
        return ok("rules", format!("{in_use} in use"));
    };
    warning(
        "rules",
        format!(
            "{in_use} in use, {} left out: {}",
            left_out.len(),
            text::safe(&first.to_string())
        ),
        "correct the pack; `observer rules list` names all of them",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kernel_gets_what_it_is_told() {
        let cases = [
            ("4.19.0-21-amd64", State::Failure),
            ("5.7.19", State::Failure),
            ("5.8.0", State::Ok),
            ("6.1.0-18-amd64", State::Ok),
            ("6.3.0", State::Ok),
            ("6.18.2+", State::Ok),
            ("10.0", State::Ok),
            ("unknown", State::Warning),
        ];
        for (release, state) in cases {
            assert_eq!(kernel(release).state, state, "{release}");
        }
    }

    #[test]
    fn missing_capabilities_are_named() {
        let status = |set: u64| format!("Name:\tx\nCapPrm:\t0\nCapEff:\t{set:016x}\n");
        assert_eq!(capabilities(&status(u64::MAX)).state, State::Ok);
        let none = capabilities(&status(0));
        assert_eq!(none.state, State::Failure);
        assert!(
            CAPABILITIES.iter().all(|(_, name, ..)| none.found.contains(name)),
            "{none:?}"
        );
        let without_ptrace = capabilities(&status(!(1 << 19)));
        assert!(without_ptrace.state == State::Failure && !without_ptrace.found.contains("CAP_BPF"));
        for optional in [2, 40] {
            assert_eq!(capabilities(&status(!(1 << optional))).state, State::Warning);
        }
        assert_eq!(capabilities("").state, State::Warning);
    }

    #[test]
    fn mounts_are_found_wherever_they_are() {
        let info = "\
            30 24 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
            31 30 0:27 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n\
            broken line\n";
        assert_eq!(cgroup_v2(info).found, "/sys/fs/cgroup/unified");
        assert_eq!(cgroup_v2("").state, State::Warning);
        assert!(tracefs(info).found.contains("not mounted"));
    }

    #[test]
    fn another_pid_namespace_is_a_failure_with_a_remedy() {
        assert_eq!(pid_namespace(Ok("pid:[4026531836]")).state, State::Ok);
        let other = pid_namespace(Ok("pid:[4026532999]"));
        assert!(
            other.state == State::Failure && other.advice.contains("hostPID"),
            "{other:?}"
        );
        assert_eq!(pid_namespace(Err("gone".into())).state, State::Warning);
    }

    #[test]
    fn type_information_that_is_none_is_a_failure() {
        assert_eq!(btf(Ok(b"nonsense")).state, State::Failure);
        assert_eq!(btf(Err("No such file".into())).state, State::Failure);
    }

    #[test]
    fn a_probe_that_failed_says_what_is_not_known_without_it() {
        let probe = crate::kernel::probes::SOCKET_TRACEPOINTS[0];
        let failed = host_probe(&probe, &ProbeState::Failed("refused".into()));
        assert_eq!((failed.state, failed.found.as_str()), (State::Warning, "refused"));
        assert!(failed.advice.contains(probe.without));
    }

    #[test]
    fn directories_are_judged_by_whether_they_can_be_written() {
        assert_eq!(directory("state_dir", "/x", true, true).state, State::Ok);
        assert!(
            directory("state_dir", "/x", false, true)
                .found
                .contains("will be made")
        );
        assert_eq!(directory("state_dir", "/x", false, false).state, State::Failure);
    }
}
