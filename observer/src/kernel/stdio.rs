//! The calls that carry what servers read on their standard input and write on their standard output (MCP over stdio), and the
//! processes that were there before the programs.

use std::{fs, os::unix::fs::FileTypeExt, path::Path};

use aya::{
    Ebpf,
    maps::HashMap,
    programs::{Program, ProgramError},
};
use observer_common::maps::Stdio;

use super::{
    clock::boot_ns,
    load::{LoadError, chain, refused},
    probes::{Hook, HostProbe, ProbeState, STDIO_PROGRAM},
    procfs::processes,
};

const WITHOUT: &str = "MCP over standard input and output is not seen";

/// Calls that read and write descriptors. One program serves them all.
const CALLS: [&str; 7] = [
    "sys_exit_read",
    "sys_exit_write",
    "sys_exit_readv",
    "sys_exit_writev",
    "sys_exit_preadv2",
    "sys_exit_recvfrom",
    "sys_exit_sendto",
];

/// Attaches the program to its calls and enters the processes that are there already.
///
/// # Errors
/// [`LoadError`] when the kernel refuses the program. A call that it cannot be attached to is no error.
pub(super) fn attach(ebpf: &mut Ebpf, prefix: u64) -> Result<Vec<(HostProbe, ProbeState)>, LoadError> {
    let Some(Program::TracePoint(program)) = ebpf.program_mut(STDIO_PROGRAM) else {
        return Err(LoadError::Loader(format!(
            "the object has no program {STDIO_PROGRAM}"
        )));
    };
    match program.load() {
        Ok(()) => {}
        Err(ProgramError::LoadError { .. }) => return Err(refused(ebpf, STDIO_PROGRAM)),
        Err(error) => return Err(LoadError::Loader(chain(&error))),
    }
    let states = CALLS.map(|call| {
        let probe = HostProbe {
            program: STDIO_PROGRAM,
            hook: Hook::Tracepoint("syscalls", call),
            required: false,
            without: WITHOUT,
        };
        let state = match program.attach("syscalls", call) {
            Ok(_) => ProbeState::Attached,
            Err(error) => ProbeState::Failed(chain(&error)),
        };
        (probe, state)
    });
    enter_older(ebpf, prefix)?;
    Ok(states.into())
}

/// Enters the processes that began before the programs.
fn enter_older(ebpf: &mut Ebpf, prefix: u64) -> Result<(), LoadError> {
    let map = ebpf
        .map_mut("STDIO")
        .ok_or_else(|| LoadError::Loader("the object has no map STDIO".into()))?;
    let mut table: HashMap<_, u32, [u8; size_of::<Stdio>()]> =
        HashMap::try_from(map).map_err(|e| LoadError::Loader(format!("map STDIO: {e}")))?;
    let own = std::process::id();
    // No number that the kernel programs give has this CPU in it.
    let first = (boot_ns() << 18) ^ (0xff << 10);
    let served = processes()
        .into_iter()
        .filter(|pid| *pid != own && may_serve(*pid));
    for (n, pid) in served.enumerate() {
        let id = first ^ (n as u64 & 0x3ff) ^ ((n as u64 >> 10) << 18);
        // An entry is the kernel's own where the process began a moment ago. A full table is counted where new ones meet it.
        const NOT_THERE: u64 = 1;
        let _ = table.insert(pid, Stdio::older(id, prefix), NOT_THERE);
    }
    Ok(())
}

/// Whether a process has pipes or sockets as its standard input and output.
fn may_serve(pid: u32) -> bool {
    ["0", "1"].iter().all(|number| {
        let kind = fs::metadata(Path::new("/proc").join(pid.to_string()).join("fd").join(number));
        kind.is_ok_and(|kind| kind.file_type().is_fifo() || kind.file_type().is_socket())
    })
}
