//! What a process uses, from `/proc` (proc(5)).

use std::fs;

use anyhow::{Context, Result};

/// CPU time that a process has used in user and kernel mode, seconds.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("stat of the process")?;
    let ticks = parse_ticks(&stat).context("stat of the process is not as in proc(5)")?;
    let seconds = rustix::param::clock_ticks_per_second();
    #[expect(clippy::cast_precision_loss, reason = "ticks of a process")]
    Ok(ticks as f64 / seconds as f64)
}

fn parse_ticks(stat: &str) -> Option<u64> {
    // Fields 14 and 15; the second is in parentheses and may hold anything.
    let mut rest = stat[stat.rfind(')')? + 1..].split_whitespace().skip(11);
    let user: u64 = rest.next()?.parse().ok()?;
    let system: u64 = rest.next()?.parse().ok()?;
    Some(user + system)
}

/// A number of `/proc/PID/status`, KiB for memory: `VmRSS`, the most ever (`VmHWM`).
pub fn status(pid: u32, name: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("status of the process")?;
    field(&text, name).with_context(|| format!("no {name} in the status of the process"))
}

/// A number of this text of `/proc/PID/status`.
pub(crate) fn field(status: &str, name: &str) -> Option<u64> {
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(field, _)| *field == name)?;
    value.split_whitespace().next()?.parse().ok()
}

/// Open descriptors of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// All of them.
    pub all: usize,
    /// Links and perf events: places where programs are attached.
    pub probes: usize,
}

/// Looks at the descriptors of a process.
pub fn descriptors(pid: u32) -> Result<Descriptors> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).context("descriptors of the process")?;
    let targets: Vec<String> = entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect();
    let holds = |target: &&String| {
        ["bpf_link", "bpf-link", "perf_event"]
            .iter()
            .any(|kind| target.contains(kind))
    };
    Ok(Descriptors {
        all: targets.len(),
        probes: targets.iter().filter(holds).count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_behind_the_name_whatever_it_is() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 5 6 0 0 20 0 1 0 100";
        assert_eq!(parse_ticks(stat), Some(11));
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status = "Name:\tx\nVmRSSx:\t 7 kB\nVmRSS:\t  100 kB\n";
        assert_eq!(field(status, "VmRSS"), Some(100));
        assert_eq!(field(status, "Vm"), None);
    }
}
