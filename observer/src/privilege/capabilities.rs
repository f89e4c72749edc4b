//! Capabilities of this process: which stay once the programs are loaded, and the way to give up the others.

use std::net::SocketAddr;

use anyhow::Context;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use crate::config::{Config, EnforcementMode};

/// What attaching to programs that start later needs: programs and maps, perf events, libraries of other processes; deleted
/// files in `map_files`.
const OBSERVING: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::CHECKPOINT_RESTORE);

/// To run the embedded store as another user, and to end it.
const OTHER_USER: CapabilitySet = CapabilitySet::SETUID
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::KILL);

/// Below it a port is privileged.
const FIRST_FREE_PORT: u16 = 1024;

/// The capabilities that the daemon needs after its programs are loaded. `perf_events`: function probes are perf events, which
/// CAP_PERFMON alone does not allow on any kernel that was tried (5.10 to 6.18).
pub fn needed(config: &Config, perf_events: bool) -> CapabilitySet {
    let mut set = OBSERVING;
    if perf_events {
        set |= CapabilitySet::SYS_ADMIN;
    }
    if config.enforcement.mode == EnforcementMode::On {
        // To cut connections, in other network namespaces too (`kernel/cut.rs`); denying them needs rights at the start only.
        set |= CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN;
    }
    let embedded = config.store.url.is_none().then_some(&config.store.embedded);
    if embedded.is_some_and(|store| store.user.is_some()) {
        set |= OTHER_USER;
    }
    let addresses = [config.metrics_listen, embedded.map(|store| store.listen)];
    addresses
        .into_iter()
        .flatten()
        .fold(set, |set, address| set | for_port(address))
}

/// What listening there needs.
pub fn for_port(address: SocketAddr) -> CapabilitySet {
    if (1..FIRST_FREE_PORT).contains(&address.port()) {
        CapabilitySet::NET_BIND_SERVICE
    } else {
        CapabilitySet::empty()
    }
}

/// Keeps of the capabilities that this thread has those of `keep`, for good: neither it nor what it starts gets any other one
/// back, by no setuid program either.
///
/// # Errors
/// What the kernel says.
pub fn keep_only(keep: CapabilitySet) -> anyhow::Result<()> {
    set_no_new_privs(true).context("no_new_privs")?;
    let held = capabilities(None).context("capabilities")?;
    // Without CAP_SETPCAP the bound stays as it is. It would matter at an exec only, and no_new_privs holds there, too.
    if held.effective.contains(CapabilitySet::SETPCAP) {
        for bit in 0..u64::BITS {
            let one = CapabilitySet::from_bits_retain(1 << bit);
            // The kernel does not know bits beyond its last capability.
            let Ok(bound) = capability_is_in_bounding_set(one) else {
                break;
            };
            if bound && !keep.contains(one) {
                remove_capability_from_bounding_set(one).context("bounding set")?;
            }
        }
    }
    clear_ambient_capability_set().context("ambient set")?;
    let left = held.permitted & keep;
    let sets = CapabilitySets {
        effective: held.effective & left,
        permitted: left,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).context("capset")?;
    Ok(())
}

/// Names as in capabilities(7), of the bits of a mask in `/proc/PID/status`.
pub fn names(mask: u64) -> Vec<String> {
    (0..u64::BITS)
        .filter(|bit| mask >> bit & 1 == 1)
        .map(
            |bit| match CapabilitySet::from_bits_retain(1 << bit).iter_names().next() {
                Some((name, _)) => format!("CAP_{name}"),
                None => format!("capability {bit}"),
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observing_by_links_does_without_the_great_capability() {
        let config = Config::default();
        assert!(needed(&config, true).contains(CapabilitySet::SYS_ADMIN));
        let least = needed(&config, false);
        assert_eq!(least, OBSERVING);
        assert_eq!(
            names(least.bits()),
            [
                "CAP_DAC_READ_SEARCH",
                "CAP_SYS_PTRACE",
                "CAP_PERFMON",
                "CAP_BPF",
                "CAP_CHECKPOINT_RESTORE"
            ]
        );
    }

    #[test]
    fn what_the_configuration_asks_for_stays_possible() {
        let read = |text: &str| needed(&Config::parse(text, "/x/observer.yaml").unwrap(), false);
        assert_eq!(
            read("metrics: {listen: \"127.0.0.1:900\"}") - OBSERVING,
            CapabilitySet::NET_BIND_SERVICE
        );
        assert_eq!(read("metrics: {listen: \"127.0.0.1:0\"}"), OBSERVING);
        assert_eq!(
            read("enforcement: {mode: on}") - OBSERVING,
            CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN
        );
        assert_eq!(read("enforcement: {mode: dry_run}"), OBSERVING);
        let user = "store: {embedded: {user: nobody, data_dir: /srv/evidence}}";
        assert_eq!(read(user) - OBSERVING, OTHER_USER);
    }

    #[test]
    fn an_unknown_capability_has_a_number() {
        assert_eq!(names(1 << 63), ["capability 63"]);
    }
}
