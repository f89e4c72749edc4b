//! Who the processes are whose TLS stack cannot be read. What they are is read once for each executable of a process.

use std::collections::HashMap;

use crate::{
    coverage::OpaqueReason,
    identity::{executable, group_of},
    pipeline::OpaqueProcess,
};

/// Most processes at one look; further ones are left to the rows of their connections.
const MAX_PROCESSES: usize = 8_192;

/// Places of the processes that were there at the last look.
#[derive(Default)]
pub(super) struct OpaqueProcesses {
    known: HashMap<u32, Place>,
}

/// Where a process runs.
#[derive(Clone)]
struct Place {
    executable: String,
    container_id: String,
    in_users_group: bool,
}

impl OpaqueProcesses {
    /// Names what discovery found, without processes that are gone.
    pub(super) fn named(&mut self, found: &[(u32, &'static str, OpaqueReason)]) -> Vec<OpaqueProcess> {
        let mut now = HashMap::new();
        let mut named = Vec::new();
        for (pid, runtime, reason) in found.iter().take(MAX_PROCESSES) {
            if !now.contains_key(pid) {
                let Some(place) = self.place(*pid) else { continue };
                now.insert(*pid, place);
            }
            if let Some(place) = now.get(pid) {
                named.push(OpaqueProcess {
                    pid: *pid,
                    executable: place.executable.clone(),
                    container_id: place.container_id.clone(),
                    in_users_group: place.in_users_group,
                    runtime,
                    reason: *reason,
                });
            }
        }
        self.known = now;
        named
    }

    /// The executable tells whether the process is still the same.
    fn place(&self, pid: u32) -> Option<Place> {
        let executable = executable(pid);
        if executable.is_empty() {
            return None;
        }
        if let Some(known) = self.known.get(&pid).filter(|k| k.executable == executable) {
            return Some(known.clone());
        }
        let group = group_of(pid);
        Some(Place {
            executable,
            container_id: group.container_id,
            in_users_group: group.is_users,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_named_and_one_that_is_gone_is_left_out() {
        let me = std::process::id();
        let mut processes = OpaqueProcesses::default();
        for _ in 0..2 {
            let named = processes.named(&[
                (me, "ring", OpaqueReason::Ring),
                (u32::MAX - 1, "jsse", OpaqueReason::Jsse),
                (me, "nss", OpaqueReason::Nss),
            ]);
            let of_me = std::env::current_exe().unwrap();
            assert!(
                named
                    .iter()
                    .all(|p| p.pid == me && p.executable == of_me.to_string_lossy())
            );
            let reasons: Vec<OpaqueReason> = named.iter().map(|p| p.reason).collect();
            assert_eq!(reasons, [OpaqueReason::Ring, OpaqueReason::Nss]);
            assert_eq!(processes.known.len(), 1);
        }
        processes.named(&[]);
        assert!(processes.known.is_empty());
    }
}
