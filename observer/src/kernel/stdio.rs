//! The calls that carry what servers read on their standard input and write on their standard output (MCP over stdio), and the
//! processes that were there before the programs.

use std::{fs, os::unix::fs::FileTypeExt, path::Path};

use aya::{Ebpf, maps::HashMap};
use observer_common::maps::Stdio;

use super::{
    clock::boot_ns,
    host,
    probes::{HostProbe, ProbeState, STDIO_CALLS},
    procfs::processes,
    refusal::LoadError,
};

/// Attaches the program to its calls and enters the processes that are there already.
///
/// # Errors
/// [`LoadError`] when the object lacks the table. That the kernel refuses the program, or a call, is said in the states.
pub(super) fn attach(ebpf: &mut Ebpf, prefix: u64) -> Result<Vec<(HostProbe, ProbeState)>, LoadError> {
    let states = host::attach_all(ebpf, STDIO_CALLS, None)?;
    if states.iter().any(|(_, state)| *state == ProbeState::Attached) {
        enter_older(ebpf, prefix)?;
    }
    Ok(states)
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
