//! What the kernel lets the daemon give up, and what a running one has given up.

use std::{fs, path::Path};

use super::checks::{Check, failure, ok, warning};
use crate::{
    config::{Config, EnforcementMode, Wish},
    privilege::{landlock_version, status::Rights},
    state::PID_FILE,
};

/// Where a kernel with seccomp filters lists what they can answer (seccomp(2)).
const SECCOMP_ACTIONS: &str = "/proc/sys/kernel/seccomp/actions_avail";

/// What can be given up here, and the rights of the daemon that runs with this configuration.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    let actions = fs::read_to_string(SECCOMP_ACTIONS).unwrap_or_default();
    let mut report = vec![
        seccomp(config.privilege.seccomp, &actions),
        landlock(config.privilege.landlock, landlock_version()),
    ];
    let own = fs::read_to_string("/proc/self/status").unwrap_or_default();
    report.extend(enforcement(config.enforcement.mode, Rights::parse(&own)));
    if let Some((pid, status)) = running(&config.run_dir) {
        report.push(daemon(pid, &status));
    }
    report
}

/// Process id and `/proc/PID/status` of a daemon that runs.
fn running(run_dir: &Path) -> Option<(u32, String)> {
    let pid = fs::read_to_string(run_dir.join(PID_FILE)).ok()?;
    let pid: u32 = pid.trim().parse().ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // The number may be another program's by now.
    status.starts_with("Name:\tobserver").then_some((pid, status))
}

fn seccomp(wish: Wish, actions: &str) -> Check {
    const NAME: &str = "seccomp";
    if wish == Wish::Off {
        return warning(NAME, "switched off", "set `privilege.seccomp` to auto");
    }
    if actions.split_whitespace().any(|action| action == "errno") {
        ok(NAME, "the daemon refuses itself system calls that it never needs")
    } else {
        warning(
            NAME,
            "this kernel has no filters for system calls",
            "the daemon runs without; CONFIG_SECCOMP_FILTER",
        )
    }
}

fn landlock(wish: Wish, version: Option<u32>) -> Check {
    const NAME: &str = "landlock";
    if wish == Wish::Off {
        return warning(NAME, "switched off", "set `privilege.landlock` to auto");
    }
    match version {
        Some(version) => ok(
            NAME,
            format!(
                "version {version}: network threads and the embedded store write to their directories only"
            ),
        ),
        None => warning(
            NAME,
            "this kernel has none, or a container's profile refuses it",
            "the daemon runs without; Linux 5.13 with CONFIG_SECURITY_LANDLOCK, and `landlock` in lsm= where that is set",
        ),
    }
}

/// Whether connections can be denied and cut; nothing where that is switched off.
fn enforcement(mode: EnforcementMode, rights: Option<Rights>) -> Option<Check> {
    const NAME: &str = "enforcement";
    const NET_ADMIN: u64 = 1 << 12;
    const SYS_ADMIN: u64 = 1 << 21;
    let held = |bit: u64| rights.is_some_and(|rights| rights.effective & bit != 0);
    let what = match mode {
        EnforcementMode::Off => return None,
        EnforcementMode::DryRun => "dry run: what would be denied is recorded",
        EnforcementMode::On => "on: connections are denied and cut",
    };
    Some(if !held(NET_ADMIN) {
        let advice = "give the daemon CAP_NET_ADMIN too: programs that deny connections are loaded with it, and with `on` connections are cut with it";
        failure(NAME, format!("{what}; CAP_NET_ADMIN is missing"), advice)
    } else if mode == EnforcementMode::On && !held(SYS_ADMIN) {
        let advice = "without CAP_SYS_ADMIN connections of containers with a network of their own are denied and not cut";
        warning(NAME, what, advice)
    } else {
        ok(NAME, what)
    })
}

fn daemon(pid: u32, status: &str) -> Check {
    let name = format!("running daemon, process {pid}");
    let Some(rights) = Rights::parse(status) else {
        return warning(&name, format!("/proc/{pid}/status cannot be understood"), "");
    };
    if rights.no_new_privs && rights.filtered {
        ok(&name, rights.says())
    } else {
        warning(
            &name,
            rights.says(),
            "its log says why it gave up no more; docs/security.md",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::checks::State;

    #[test]
    fn what_cannot_be_given_up_is_a_warning_and_no_failure() {
        assert_eq!(seccomp(Wish::Auto, "kill_process errno allow\n").state, State::Ok);
        assert_eq!(seccomp(Wish::Auto, "").state, State::Warning);
        assert_eq!(seccomp(Wish::Off, "errno").state, State::Warning);
        assert_eq!(landlock(Wish::Auto, Some(4)).state, State::Ok);
        assert_eq!(landlock(Wish::Required, None).state, State::Warning);
        assert_eq!(landlock(Wish::Off, Some(4)).state, State::Warning);
    }

    #[test]
    fn a_running_daemon_is_judged_by_what_it_still_has() {
        let status =
            |filter: u8| format!("Name:\tobserver\nCapEff:\t80000\nNoNewPrivs:\t1\nSeccomp:\t{filter}\n");
        let good = daemon(7, &status(2));
        assert_eq!(good.state, State::Ok);
        assert!(
            good.found.starts_with("CAP_SYS_PTRACE;") && good.name.ends_with(" 7"),
            "{good:?}"
        );
        assert_eq!(daemon(7, &status(0)).state, State::Warning);
    }

    #[test]
    fn a_process_id_that_is_another_programs_now_is_no_daemon() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(running(dir.path()), None);
        fs::write(dir.path().join("observer.pid"), "1\n").unwrap();
        assert_eq!(running(dir.path()), None);
    }
}
