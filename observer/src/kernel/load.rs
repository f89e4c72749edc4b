//! Loads the kernel programs and attaches those that are attached once for the host.

use std::{collections::BTreeMap, fs};

use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, RingBuf},
    programs::{Program, ProgramError, ProgramInfo, uprobe::UProbeScope},
};
use aya_log::EbpfLogger;
use observer_common::maps::SMALL_PREFIX;

use super::{
    btf::{Btf, has_socket_tracepoints, kernel_offsets},
    enforce::{self, Enforcer},
    host,
    links::{self, Link},
    multi::MultiPrograms,
    probes::{HostProbe, ProbeState, SERVED_CALLS, function_programs},
    refusal::{BTF_FILE, LoadError, chain, in_words, is_denied, loader_error},
    stdio,
    tables::{Counters, Scopes, fill_hosts, take},
    tracefs::with_tracefs,
};
use crate::config::{Capture, FunctionProbes};

/// The kernel object, or nothing when this program was built without it.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);
static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/observer-ebpf.o")));

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
    /// Reads calls that processes answer.
    pub served_calls: bool,
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
            served_calls: capture.served_calls,
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
    let served_calls = u32::from(options.served_calls);
    let (pid, small) = (
        std::process::id(),
        options.undecided_prefix_bytes.min(SMALL_PREFIX),
    );
    let mut loader = EbpfLoader::new();
    for (map, size) in enforce::SIZES {
        loader.map_max_entries(map, if options.enforcement { size } else { 1 });
    }
    let mut ebpf = loader
        .override_global("DAEMON_PID", &pid, true)
        .override_global("OFFSETS", words.as_slice(), true)
        .override_global("PREFIX_LARGE", &options.undecided_prefix_bytes, true)
        .override_global("PREFIX_SMALL", &small, true)
        .override_global("SERVED_CALLS", &served_calls, true)
        .override_global("MOST_PIECES", &most_pieces(&release), true)
        // Level 0 takes the logging out of the programs when they are verified.
        .override_global(aya_log::LEVEL, &log_level, false)
        .map_max_entries("RECORDS", options.ring_buffer_bytes)
        .load(&OBJECT.0)
        .map_err(|e| loader_error(&e))?;
    fill_hosts(&mut ebpf, &options.hosts)?;
    let host_probes = with_tracefs(|| {
        let mut probes = host::attach(&mut ebpf, socket_tracepoints)?;
        if options.served_calls {
            probes.extend(host::attach_all(&mut ebpf, SERVED_CALLS, None)?);
        }
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
        scopes: Scopes::take(&mut ebpf)?,
        counters: Counters::take(&mut ebpf)?,
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

/// Most records that one buffer of a call gives. Verifiers before Linux 6.4 walk each of them anew, and a million steps are allowed: what a
/// call has beyond 512 KiB is counted as lost there.
fn most_pieces(release: &str) -> u32 {
    match version(release) {
        Some(version) if version < (6, 4) => 32,
        _ => 256,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
