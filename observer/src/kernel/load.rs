//! Loads the kernel programs and attaches those that are attached once for the host.

use std::{collections::BTreeMap, fs, io};

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{HashMap, LpmTrie, MapData, PerCpuArray, RingBuf, lpm_trie::Key},
    programs::{Program, ProgramError, ProgramInfo, uprobe::UProbeScope},
};
use aya_log::EbpfLogger;
use observer_common::{
    counters,
    maps::{Flow, FlowKey, HOST_KEY_LEN, HOSTS_MAX, Socket},
    wire::CLASS_AI,
};

use super::{
    btf::{Btf, has_socket_tracepoints, kernel_offsets},
    enforce::{self, Enforcer},
    host,
    links::{self, Link},
    multi::MultiPrograms,
    probes::{HostProbe, ProbeState, function_programs},
    stdio,
    tracefs::with_tracefs,
};
use crate::config::{Capture, FunctionProbes};

/// The kernel object, or nothing when this program was built without it.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);
static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/observer-ebpf.o")));

/// Where the running kernel describes its types.
const BTF_FILE: &str = "/sys/kernel/btf/vmlinux";

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

/// What the programs are loaded with.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Size of the ring buffer in bytes, a power of two.
    pub ring_buffer_bytes: u32,
    /// Most plaintext bytes by direction of a flow that is not decided yet.
    pub undecided_prefix_bytes: u64,
    /// Puts function programs on perf events even where the kernel has uprobe multi links.
    pub perf_events: bool,
    /// Host patterns of the catalogue: name in lower case, and whether names below it match (then not the name itself).
    pub hosts: Vec<(String, bool)>,
    /// Loads the programs of enforcement, too.
    pub enforcement: bool,
    /// Reads MCP over standard input and output.
    pub stdio: bool,
}

impl LoadOptions {
    /// As the configuration says.
    pub fn new(capture: &Capture, hosts: Vec<(String, bool)>) -> Self {
        Self {
            ring_buffer_bytes: capture.ring_buffer_bytes,
            undecided_prefix_bytes: capture.undecided_prefix_bytes.into(),
            perf_events: capture.function_probes == FunctionProbes::PerfEvents,
            hosts,
            enforcement: false,
            stdio: capture.mcp_stdio,
        }
    }
}

/// The programs in the kernel, with the maps that the daemon uses.
pub struct Loaded {
    /// Owner of the programs; dropping it detaches what is attached once for the host.
    pub programs: Programs,
    /// Records from the kernel.
    pub records: RingBuf<MapData>,
    /// Scope of flows, written by the daemon.
    pub scopes: Scopes,
    /// Kernel counters.
    pub counters: Counters,
    /// Tables of enforcement; none where it is off.
    pub enforcer: Option<Enforcer>,
    /// Host probes and what became of them.
    pub host_probes: Vec<(HostProbe, ProbeState)>,
    /// Whether socket calls are seen by tracepoints, so that what crosses a socket in clear is read.
    pub socket_tracepoints: bool,
    /// Kernel fields that this kernel does not have.
    pub missing_fields: Vec<String>,
}

/// Names of programs with the kernel's reason.
pub type Refused = BTreeMap<&'static str, String>;

/// Owner of the loaded programs.
pub struct Programs {
    ebpf: Ebpf,
    /// Function programs on uprobe multi links; `None`: those of `ebpf`, on perf events.
    multi: Option<MultiPrograms>,
    /// Function programs that the kernel refused, and why.
    refused: Refused,
    flush_log: Option<Box<dyn FnMut() + Send>>,
}

impl Programs {
    fn new(mut ebpf: Ebpf, multi: Option<MultiPrograms>, refused: Refused) -> Self {
        let logger = debugging().then(|| EbpfLogger::init(&mut ebpf).ok()).flatten();
        let flush_log =
            logger.map(|mut logger| -> Box<dyn FnMut() + Send> { Box::new(move || logger.flush()) });
        Self {
            ebpf,
            multi,
            refused,
            flush_log,
        }
    }

    /// Whether function programs are attached through perf events.
    pub fn on_perf_events(&self) -> bool {
        self.multi.is_none()
    }

    /// By what means function programs are attached.
    pub fn means(&self) -> &'static str {
        if self.on_perf_events() {
            "perf events"
        } else {
            "uprobe multi links"
        }
    }

    /// Attaches a function program to places of a file, for all processes, as long as what it adds to `links` is kept.
    ///
    /// # Errors
    /// In words, what the kernel said.
    pub(super) fn attach(
        &mut self,
        name: &str,
        file: &str,
        offsets: &[u64],
        links: &mut Vec<Link>,
    ) -> Result<(), String> {
        if let Some(multi) = &self.multi {
            let _link = multi.attach(name, file, offsets)?;
            links.push(Link::Multi { _link });
            return Ok(());
        }
        if let Some(reason) = self.refused.get(name) {
            return Err(format!("the kernel refused the program: {reason}"));
        }
        let Some(Program::UProbe(program)) = self.ebpf.program_mut(name) else {
            return Err(format!("no program {name}"));
        };
        for offset in offsets {
            let link = program.attach(*offset, file, UProbeScope::AllProcesses);
            let _link = link.and_then(|id| program.take_link(id)).map_err(|e| chain(&e))?;
            links.push(Link::Perf { _link });
        }
        Ok(())
    }

    /// Function programs that the kernel refused, and why. What they are for is not read.
    pub fn refused(&self) -> &Refused {
        &self.refused
    }

    /// Writes to the log what the programs logged, where debugging is switched on.
    pub fn flush_log(&mut self) {
        if let Some(flush) = &mut self.flush_log {
            flush();
        }
    }
}

/// Whether the programs shall log what they do: costs every event, so only when somebody wants to read it.
fn debugging() -> bool {
    tracing::enabled!(tracing::Level::DEBUG)
}

/// The daemon's side of the scope gate.
pub struct Scopes {
    scopes: HashMap<MapData, u64, u32>,
    flows: HashMap<MapData, [u8; 24], [u8; size_of::<Flow>()]>,
    sockets: HashMap<MapData, u64, [u8; size_of::<Socket>()]>,
}

impl Scopes {
    /// Sets the class of a flow; `false` when the kernel's table is full.
    pub fn decide(&mut self, flow_id: u64, class: u32) -> bool {
        self.scopes.insert(flow_id, class, 0).is_ok()
    }

    /// Forgets a flow that is over. What the kernel has already forgotten is no error.
    pub fn forget(&mut self, flow_id: u64, key: &FlowKey) {
        let _ = self.scopes.remove(&flow_id);
        let _ = self.flows.remove(&key.to_bytes());
    }

    /// Forgets what a flow was decided to be, whose other state the kernel drops by itself.
    pub fn forget_class(&mut self, flow_id: u64) {
        let _ = self.scopes.remove(&flow_id);
    }

    /// Forgets a socket whose end the kernel does not tell.
    pub fn forget_socket(&mut self, socket: u64) {
        let _ = self.sockets.remove(&socket);
    }

    /// Connection id of a socket, and the bytes that its calls sent and received so far; `None` when it is not there.
    pub fn totals(&self, socket: u64) -> Option<(u64, [u64; 2])> {
        self.sockets
            .get(&socket, 0)
            .ok()
            .map(|bytes| Socket::totals(&bytes))
    }
}

impl Scopes {
    /// Removes the kernel's flows of processes that are gone: those that were killed before their flow had anything to
    /// report, so that nobody forgets them by name.
    pub fn sweep(&mut self) {
        let keys: Vec<[u8; 24]> = self.flows.keys().filter_map(Result::ok).collect();
        for key in keys {
            let pid = FlowKey::pid_of(&key);
            if !std::path::Path::new("/proc").join(pid.to_string()).exists() {
                // The kernel may have removed it by itself in the meantime.
                let _ = self.flows.remove(&key);
            }
        }
    }
}

/// The kernel's counters, see `observer_common::counters`.
pub struct Counters(PerCpuArray<MapData, u64>);

impl Counters {
    /// Current value of each counter, summed over CPUs, by index. `None` for one that cannot be read.
    pub fn read(&self) -> Vec<Option<u64>> {
        let sum = |index| self.0.get(&index, 0).ok().map(|per_cpu| per_cpu.iter().sum());
        (0..counters::COUNT).map(sum).collect()
    }
}

/// Whether this process may load kernel programs at all: to be asked before anything else is touched.
///
/// # Errors
/// [`LoadError::NoPrivilege`].
pub fn check_privilege() -> Result<(), LoadError> {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    const CAP_BPF: u64 = 1 << 39;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    // Where it cannot be read the kernel itself will say no.
    if set.is_some_and(|set| set & (CAP_SYS_ADMIN | CAP_BPF) == 0) {
        Err(LoadError::NoPrivilege)
    } else {
        Ok(())
    }
}

/// Loads everything and attaches the host probes.
///
/// # Errors
/// [`LoadError`], with what to do.
pub fn load(options: &LoadOptions) -> Result<Loaded, LoadError> {
    if OBJECT.0.is_empty() {
        return Err(LoadError::NoObject);
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    check_kernel(&release)?;
    links::allow_many();
    let btf_bytes = fs::read(BTF_FILE).map_err(LoadError::NoBtf)?;
    let btf = Btf::parse(&btf_bytes)?;
    let (mut offsets, missing_fields) = kernel_offsets(&btf);
    let socket_tracepoints = has_socket_tracepoints(&btf);
    drop(btf_bytes);
    if !options.stdio {
        // The kernel programs take it for "not known", and look at nothing.
        offsets.file_inode = 0;
    }
    let words = offsets.to_words();
    let log_level = if debugging() {
        aya_log::Level::Debug as u8
    } else {
        0
    };
    let (pid, small) = (std::process::id(), options.undecided_prefix_bytes.min(4096));
    let mut loader = EbpfLoader::new();
    for (map, size) in enforce::SIZES {
        loader.map_max_entries(map, if options.enforcement { size } else { 1 });
    }
    let mut ebpf = loader
        .override_global("DAEMON_PID", &pid, true)
        .override_global("OFFSETS", words.as_slice(), true)
        .override_global("PREFIX_LARGE", &options.undecided_prefix_bytes, true)
        .override_global("PREFIX_SMALL", &small, true)
        // Level 0 takes the logging out of the programs when they are verified.
        .override_global(aya_log::LEVEL, &log_level, false)
        .map_max_entries("RECORDS", options.ring_buffer_bytes)
        .load(&OBJECT.0)
        .map_err(|e| loader_error(&e))?;
    fill_hosts(&mut ebpf, &options.hosts)?;
    let host_probes = with_tracefs(|| {
        let mut probes = host::attach(&mut ebpf, socket_tracepoints)?;
        if options.stdio {
            probes.extend(stdio::attach(&mut ebpf, options.undecided_prefix_bytes)?);
        }
        Ok::<_, LoadError>(probes)
    })?;
    // Before any map is taken out: the code of all programs is prepared anew, with all maps.
    let (multi, refused) = function_programs_on_links(&mut ebpf, options.perf_events)?;
    let enforcer = options
        .enforcement
        .then(|| Enforcer::start(&mut ebpf))
        .transpose()?;
    Ok(Loaded {
        records: take(&mut ebpf, "RECORDS")?,
        scopes: Scopes {
            scopes: take(&mut ebpf, "SCOPES")?,
            flows: take(&mut ebpf, "FLOWS")?,
            sockets: take(&mut ebpf, "SOCKETS")?,
        },
        counters: Counters(take(&mut ebpf, "COUNTERS")?),
        programs: Programs::new(ebpf, multi, refused),
        enforcer,
        host_probes,
        socket_tracepoints,
        missing_fields,
    })
}

/// Major and minor number of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
        _ => None,
    }
}

/// The ring buffer came with Linux 5.8; without it there is nothing to load.
fn check_kernel(release: &str) -> Result<(), LoadError> {
    match version(release) {
        Some(version) if version < (5, 8) => Err(LoadError::KernelTooOld(release.to_owned())),
        // A release that is not understood is no reason to refuse: the kernel says itself what it cannot do.
        _ => Ok(()),
    }
}

pub(super) fn take<T: TryFrom<aya::maps::Map, Error = aya::maps::MapError>>(
    ebpf: &mut Ebpf,
    name: &str,
) -> Result<T, LoadError> {
    let map = ebpf
        .take_map(name)
        .ok_or_else(|| LoadError::Loader(format!("the object has no map {name}")))?;
    T::try_from(map).map_err(|e| LoadError::Loader(format!("map {name}: {e}")))
}

/// Key of a host pattern in the kernel's prefix table: the name reversed; an exact one ends with NUL, a suffix with
/// the dot before it. `None` for a name that does not fit.
fn host_key(name: &str, below: bool) -> Option<Key<[u8; HOST_KEY_LEN]>> {
    let mut reversed: Vec<u8> = name.bytes().rev().collect();
    reversed.push(if below { b'.' } else { 0 });
    let bits = u32::try_from(reversed.len() * 8).ok()?;
    reversed.resize(HOST_KEY_LEN.max(reversed.len()), 0);
    Some(Key::new(bits, reversed.try_into().ok()?))
}

fn fill_hosts(ebpf: &mut Ebpf, hosts: &[(String, bool)]) -> Result<(), LoadError> {
    let map = ebpf
        .map_mut("HOSTS")
        .ok_or_else(|| LoadError::Loader("the object has no map HOSTS".into()))?;
    let mut trie: LpmTrie<_, [u8; HOST_KEY_LEN], u32> =
        LpmTrie::try_from(map).map_err(|e| LoadError::Loader(e.to_string()))?;
    let room = HOSTS_MAX as usize;
    if hosts.len() > room {
        // Only a catalogue file of the user can be as long. The rest is decided by the daemon, as other names are.
        tracing::warn!(
            names = hosts.len(),
            room,
            "more catalogue hosts than the kernel's table takes"
        );
    }
    // A name that is not in the table stays undecided in the kernel and is decided by the daemon: one too long for it, or refused.
    let keys = hosts
        .iter()
        .take(room)
        .filter_map(|(name, below)| host_key(name, *below));
    let refused = keys.filter_map(|key| trie.insert(&key, CLASS_AI, 0).err());
    if let Some(error) = refused.last() {
        tracing::warn!(%error, "the kernel's table of catalogue hosts is not whole");
    }
    Ok(())
}

/// Instructions that the verifier walked for a program, where the kernel says so (Linux 5.16).
pub(super) fn walked(info: Result<ProgramInfo, ProgramError>) -> Option<u32> {
    info.ok().and_then(|info| info.verified_instruction_count())
}

/// Loads the function programs for uprobe multi links; where that cannot be, for perf events, and gives `None`.
fn function_programs_on_links(
    ebpf: &mut Ebpf,
    perf_events: bool,
) -> Result<(Option<MultiPrograms>, Refused), LoadError> {
    if !perf_events {
        match MultiPrograms::load(&OBJECT.0, ebpf, &function_programs()) {
            Ok(multi) => return Ok((Some(multi), Refused::new())),
            Err(error) => tracing::info!(%error, "function probes go on perf events"),
        }
    }
    Ok((None, load_function_programs(ebpf)?))
}

/// Loads what the kernel takes. A program that it refuses leaves one kind of call unread, which is no reason to see nothing at all.
fn load_function_programs(ebpf: &mut Ebpf) -> Result<Refused, LoadError> {
    let mut refused = Refused::new();
    for name in function_programs() {
        let Some(Program::UProbe(program)) = ebpf.program_mut(name) else {
            return Err(LoadError::Loader(format!(
                "the object has no uprobe program {name}"
            )));
        };
        match program.load() {
            Ok(()) => tracing::debug!(program = name, instructions = walked(program.info()), "verified"),
            Err(error) if is_denied(&error) => return Err(LoadError::NoPrivilege),
            Err(error) => {
                let reason = in_words(&error);
                tracing::warn!(program = name, reason, "the kernel refused a program");
                refused.insert(name, reason);
            }
        }
    }
    Ok(refused)
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
fn is_denied(error: &ProgramError) -> bool {
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

fn loader_error(error: &EbpfError) -> LoadError {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_host_ends_with_nul_and_a_suffix_with_a_dot() {
        let exact = host_key("ab.c", false).unwrap();
        assert_eq!(
            (exact.prefix_len(), &exact.data()[..6]),
            (5 * 8, &b"c.ba\0\0"[..])
        );
        let below = host_key("ab.c", true).unwrap();
        assert_eq!((below.prefix_len(), &below.data()[..6]), (5 * 8, &b"c.ba.\0"[..]));
    }

    #[test]
    fn a_kernel_without_ring_buffer_is_too_old() {
        for old in ["4.19.0-27-amd64", "5.7.19", "3.10"] {
            assert!(
                matches!(check_kernel(old), Err(LoadError::KernelTooOld(_))),
                "{old}"
            );
        }
        for new in ["5.8.0", "5.15.0-rc1", "6.18.44-fc-v669", "10.0", "unreadable"] {
            assert!(check_kernel(new).is_ok(), "{new}");
        }
    }

    #[test]
    fn a_host_that_does_not_fit_is_left_to_the_daemon() {
        assert!(host_key(&"a".repeat(HOST_KEY_LEN), false).is_none());
        assert!(host_key(&"a".repeat(HOST_KEY_LEN - 1), false).is_some());
    }
}
