//! What `/proc/PID/status` says about the rights of a process (pure).

use super::capabilities::names;

/// Rights of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Effective capabilities, a bit each.
    pub effective: u64,
    /// It can get no more than it has.
    pub no_new_privs: bool,
    /// A filter stands before its system calls.
    pub filtered: bool,
}

impl Rights {
    /// Reads the text of `/proc/PID/status` (proc(5)). `None` where a line is missing.
    pub fn parse(status: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.strip_prefix(':')?.trim())
        };
        Some(Self {
            effective: u64::from_str_radix(value("CapEff")?, 16).ok()?,
            no_new_privs: value("NoNewPrivs")? == "1",
            filtered: value("Seccomp")? == "2",
        })
    }

    /// In words, for people.
    pub fn says(&self) -> String {
        let held = names(self.effective);
        let held = match held.len() {
            0 => "no capability".to_owned(),
            _ => held.join(", "),
        };
        let gain = if self.no_new_privs {
            "no new privileges"
        } else {
            "new privileges possible"
        };
        let filter = if self.filtered {
            "seccomp filter"
        } else {
            "no seccomp filter"
        };
        format!("{held}; {gain}; {filter}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_and_told() {
        let status = "Name:\tobserver\nCapInh:\t0\nCapEff:\t000000c000080000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        let rights = Rights::parse(status).unwrap();
        assert_eq!(
            rights.says(),
            "CAP_SYS_PTRACE, CAP_PERFMON, CAP_BPF; no new privileges; seccomp filter"
        );
        let none = Rights::parse("CapEff:\t0\nNoNewPrivs:\t0\nSeccomp:\t0\n").unwrap();
        assert_eq!(
            none.says(),
            "no capability; new privileges possible; no seccomp filter"
        );
        assert_eq!(Rights::parse("CapEff:\t0\n"), None);
    }
}
