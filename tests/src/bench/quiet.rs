//! Whether this machine was left alone meanwhile.

use std::fs;

/// Other daemons that observe this host now: theirs are probes on the same functions.
pub(super) fn other_observers(own: Option<u32>) -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| Some(*pid) != own && is_daemon(*pid)).count()
}

fn is_daemon(pid: u32) -> bool {
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    comm.trim() == "observer" && arguments.split(|b| *b == 0).nth(1) == Some(b"run")
}

/// Says how many of the measurements were disturbed by another daemon; empty when none was.
pub(super) fn note(disturbed: usize, of: usize) -> String {
    if disturbed == 0 {
        String::new()
    } else {
        format!("{disturbed} of {of} rounds beside another observer on this host")
    }
}
