//! Single facts from `/proc/PID` (proc(5)).

use std::fs;

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub comm: String,
    pub parent_pid: u32,
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
    let parent_pid = text.get(close + 1..)?.split_whitespace().nth(1)?.parse().ok()?;
    Some(Stat { comm, parent_pid })
}

/// Path of the executable; empty when it cannot be read.
pub(crate) fn executable(pid: u32) -> String {
    fs::read_link(format!("/proc/{pid}/exe"))
        .map(|p| p.to_string_lossy().into_owned())
        .unwrap_or_default()
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
        let stat = parse_stat("12 (a) S 99 (b) S 7 1 1 0").unwrap();
        assert_eq!((stat.comm.as_str(), stat.parent_pid), ("a) S 99 (b", 7));
    }

    #[test]
    fn a_cut_line_is_nothing() {
        for text in ["", "12", "12 (", "12 (x", "12 (x)", "12 (x) S", ")("] {
            assert_eq!(parse_stat(text), None, "{text}");
        }
    }
}
