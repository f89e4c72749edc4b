//! How much memory the engine may take: as much as it is made for, or less where the control group that it runs in has less. Without that a
//! query of its own would have the kernel end the whole group, the daemon with it (`MemoryMax=` of the unit, limit of a container).

use std::fs;
use std::path::{Path, PathBuf};

use crate::kernel::procfs::mounts;

/// Memory of one query, bytes.
const QUERY: u64 = 400 << 20;
/// Memory of the whole engine, bytes: all queries at once and room for inserts and merges.
const ENGINE: u64 = 1800 << 20;
/// The daemon's part of a control group, and what the kernel counts there besides.
const DAEMON: u64 = 192 << 20;
/// With less the engine does not get through its own merges.
const LEAST: u64 = 256 << 20;

/// Files with a limit in bytes, or with `max`: of version 2, and of version 1.
const LIMITS: [&str; 3] = ["memory.high", "memory.max", "memory.limit_in_bytes"];

/// Bounds of the engine, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// All that it does at once.
    pub engine: u64,
    /// One query.
    pub query: u64,
}

impl Memory {
    /// As the control group of this process allows.
    pub(super) fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let groups = groups(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
        Self::below(limit(&groups))
    }

    /// `None`: nothing bounds it.
    fn below(limit: Option<u64>) -> Self {
        let engine = limit.map_or(ENGINE, |bytes| bytes.saturating_sub(DAEMON).clamp(LEAST, ENGINE));
        Self {
            engine,
            query: QUERY.min(engine / 2),
        }
    }
}

/// The least limit of these control groups.
fn limit(groups: &[PathBuf]) -> Option<u64> {
    let files = groups
        .iter()
        .flat_map(|group| LIMITS.map(|name| group.join(name)));
    files
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
        .min()
}

/// Where the control groups of a process are found that bound its memory, those above them too: of `/proc/PID/cgroup` and
/// `/proc/PID/mountinfo`. Pure.
fn groups(cgroup: &str, mountinfo: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in cgroup.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let kind = match controllers {
            "" => "cgroup2",
            _ if controllers.split(',').any(|name| name == "memory") => "cgroup",
            _ => continue,
        };
        for (root, point) in mounts(mountinfo, kind) {
            // A mount of another part of the tree says nothing of this one.
            let Ok(below) = Path::new(path).strip_prefix(root) else {
                continue;
            };
            let point = Path::new(point);
            let whole = point.join(below);
            let above = whole.ancestors().take_while(|group| group.starts_with(point));
            found.extend(above.map(Path::to_path_buf));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_engine_takes_what_the_daemon_leaves_of_its_control_group() {
        let memory = |limit: Option<u64>| {
            let memory = Memory::below(limit.map(|mib| mib * MIB));
            (memory.engine / MIB, memory.query / MIB)
        };
        assert_eq!(memory(None), (1800, 400));
        assert_eq!(memory(Some(1 << 20)), (1800, 400));
        assert_eq!(memory(Some(1024)), (832, 400));
        // The package's unit: MemoryHigh=640M.
        assert_eq!(memory(Some(640)), (448, 224));
        assert_eq!(memory(Some(64)), (256, 128));
    }

    #[test]
    fn control_groups_are_found_in_both_versions() {
        let paths = |cgroup: &str, mountinfo: &str| -> Vec<String> {
            let found = groups(cgroup, mountinfo);
            found.iter().map(|path| path.display().to_string()).collect()
        };
        let two = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n";
        assert_eq!(
            paths("0::/system.slice/observer.service\n", two),
            [
                "/sys/fs/cgroup/system.slice/observer.service",
                "/sys/fs/cgroup/system.slice",
                "/sys/fs/cgroup"
            ]
        );
        assert_eq!(paths("0::/\n", two), ["/sys/fs/cgroup/"]);
        let hybrid = "31 24 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                      32 24 0:28 /docker/x /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      33 24 0:29 /pods /other rw - cgroup cgroup rw,memory\n";
        assert_eq!(
            paths("5:cpu,cpuacct:/docker/x\n4:memory:/docker/x/a\n0::/a\n", hybrid),
            [
                "/sys/fs/cgroup/memory/a",
                "/sys/fs/cgroup/memory",
                "/sys/fs/cgroup/unified/a",
                "/sys/fs/cgroup/unified"
            ]
        );
        assert!(paths("", "").is_empty());
    }

    #[test]
    fn the_least_limit_counts_and_no_limit_is_none() {
        let dir = tempfile::tempdir().expect("directory");
        let inner = dir.path().join("a");
        fs::create_dir(&inner).expect("directory");
        let groups = [inner.clone(), dir.path().to_path_buf()];
        assert_eq!(limit(&groups), None);
        fs::write(inner.join("memory.max"), "max\n").expect("written");
        assert_eq!(limit(&groups), None);
        fs::write(dir.path().join("memory.max"), "805306368\n").expect("written");
        fs::write(inner.join("memory.high"), "671088640\n").expect("written");
        assert_eq!(limit(&groups), Some(671_088_640));
    }
}
