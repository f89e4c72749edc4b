//! Single facts from `/proc/PID` (proc(5)).

use std::{fs, os::unix::fs::MetadataExt};

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub comm: String,
    pub parent_pid: u32,
    /// Start after boot, in clock ticks.
    pub start_ticks: u64,
    /// Number of the controlling terminal; 0 for none.
    pub tty: u32,
}

pub(super) fn stat(pid: u32) -> Option<Stat> {
    // Bytes, not text: a process can give itself any name.
    parse_stat(&String::from_utf8_lossy(
        &fs::read(format!("/proc/{pid}/stat")).ok()?,
    ))
}

/// `pid (comm) state ppid ...`, where comm may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    let comm = text.get(open + 1..close)?.to_owned();
    // From the third field on (proc(5)): state, ppid, pgrp, session, tty_nr, ... and starttime as the 22nd.
    let mut fields = text.get(close + 1..)?.split_whitespace();
    let parent_pid = fields.nth(1)?.parse().ok()?;
    let tty = fields.nth(2).and_then(|tty| tty.parse::<i32>().ok()).unwrap_or(0);
    let start_ticks = fields.nth(14).and_then(|ticks| ticks.parse().ok()).unwrap_or(0);
    Some(Stat {
        comm,
        parent_pid,
        start_ticks,
        tty: tty.cast_unsigned(),
    })
}

/// Name of a terminal by its device number: `pts/3`, `tty1`; empty for none and for others.
pub(super) fn tty_name(number: u32) -> String {
    let major = (number >> 8) & 0xfff;
    let minor = (number & 0xff) | ((number >> 12) & 0xf_ff00);
    match major {
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        // Linux: eight major numbers of 256 pseudo terminals each.
        136..=143 => format!("pts/{}", minor + (major - 136) * 256),
        _ => String::new(),
    }
}

/// Real user of a process, as records of the kernel have it; `None` when it cannot be read.
pub(super) fn real_uid(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // Real, effective, saved, of its files.
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Audit session of a process; `u32::MAX` when it has none or it cannot be read.
pub(super) fn audit_session(pid: u32) -> u32 {
    let text = fs::read_to_string(format!("/proc/{pid}/sessionid")).ok();
    text.and_then(|t| t.trim().parse().ok()).unwrap_or(u32::MAX)
}

/// Path of the executable; empty when it cannot be read. Of a file that was removed since, as an upgrade of its package does, the path that it had.
pub(crate) fn executable(pid: u32) -> String {
    let link = format!("/proc/{pid}/exe");
    let Ok(path) = fs::read_link(&link) else {
        return String::new();
    };
    let path = path.to_string_lossy();
    // A file can have such a name, too.
    let is_removed = || fs::metadata(&link).is_ok_and(|meta| meta.nlink() == 0);
    match path.strip_suffix(" (deleted)") {
        Some(before) if is_removed() => before.to_owned(),
        _ => path.into_owned(),
    }
}

/// User who logged in; `u32::MAX` when none did or it cannot be read.
pub(super) fn login_uid(pid: u32) -> u32 {
    let text = fs::read_to_string(format!("/proc/{pid}/loginuid")).ok();
    text.and_then(|t| t.trim().parse().ok()).unwrap_or(u32::MAX)
}

pub(super) fn cgroup(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let stat = parse_stat("12 (a) S 99 (b) S 7 1 1 34819 1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 9 9").unwrap();
        assert_eq!((stat.comm.as_str(), stat.parent_pid), ("a) S 99 (b", 7));
        assert_eq!((stat.start_ticks, tty_name(stat.tty)), (4711, "pts/3".to_owned()));
    }

    #[test]
    fn terminals_have_their_names() {
        for (number, name) in [
            (0, ""),
            (0x0401, "tty1"),
            (0x0440, "ttyS0"),
            (0x8800, "pts/0"),
            (0x8901, "pts/257"),
            (0x0010_8800, "pts/256"),
        ] {
            assert_eq!(tty_name(number), name, "{number:#x}");
        }
    }

    #[test]
    fn this_process_has_a_start_and_a_user() {
        let own = stat(std::process::id()).unwrap();
        assert!(own.start_ticks > 0);
        assert_eq!(
            real_uid(std::process::id()),
            Some(rustix::process::getuid().as_raw())
        );
    }

    #[test]
    fn a_program_whose_file_was_removed_keeps_its_path() {
        let dir = tempfile::tempdir().unwrap();
        for (name, is_removed) in [("run", true), ("run (deleted)", true), ("kept (deleted)", false)] {
            let path = dir.path().join(name);
            // By another program: a file that is open for writing cannot be run.
            let copied = std::process::Command::new("cp")
                .arg("/bin/sleep")
                .arg(&path)
                .status();
            assert!(copied.unwrap().success());
            let mut child = std::process::Command::new(&path).arg("60").spawn().unwrap();
            if is_removed {
                fs::remove_file(&path).unwrap();
            }
            let found = executable(child.id());
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(found, path.to_str().unwrap());
        }
    }

    #[test]
    fn a_cut_line_is_nothing() {
        for text in ["", "12", "12 (", "12 (x", "12 (x)", "12 (x) S", ")("] {
            assert_eq!(parse_stat(text), None, "{text}");
        }
    }
}
