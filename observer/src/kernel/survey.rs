//! Looks through all processes once: which TLS stacks they have, without attaching to anything.

use std::{collections::HashMap, fs, sync::Arc};

use super::{
    attach::opaque_reason,
    file_id::FileId,
    procfs::{executable_files, open_mapped, processes},
};
use crate::{
    coverage::OpaqueReason,
    stacks::{self, Stack},
};

/// A process with TLS in it.
#[derive(Debug, Clone)]
pub struct SurveyedProcess {
    /// Process id.
    pub pid: u32,
    /// Command name; empty when the process ended meanwhile.
    pub comm: String,
    /// Its TLS stacks with the file that holds each, as the process sees its path.
    pub stacks: Vec<(String, Stack)>,
}

impl SurveyedProcess {
    /// The first stack that cannot be read, and why; `None` when all can.
    pub fn opaque(&self) -> Option<(&str, OpaqueReason)> {
        let mut reasons = self
            .stacks
            .iter()
            .filter_map(|(path, stack)| Some((path.as_str(), opaque_reason(stack)?)));
        reasons.next()
    }
}

/// All processes with a TLS stack, by id. `progress` hears how many of how many processes were looked at.
pub fn survey(progress: impl Fn(usize, usize)) -> Vec<SurveyedProcess> {
    let own = std::process::id();
    let pids: Vec<u32> = processes().into_iter().filter(|pid| *pid != own).collect();
    let mut known: HashMap<FileId, Arc<Vec<Stack>>> = HashMap::new();
    let mut found = Vec::new();
    for (n, pid) in pids.iter().enumerate() {
        progress(n, pids.len());
        let stacks = stacks_of(*pid, &mut known);
        if !stacks.is_empty() {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            found.push(SurveyedProcess {
                pid: *pid,
                comm: comm.trim_end().to_owned(),
                stacks,
            });
        }
    }
    found.sort_by_key(|process| process.pid);
    found
}

fn stacks_of(pid: u32, known: &mut HashMap<FileId, Arc<Vec<Stack>>>) -> Vec<(String, Stack)> {
    let mut all = Vec::new();
    for mapped in executable_files(pid) {
        let Ok(file) = open_mapped(pid, &mapped) else {
            continue;
        };
        let Some((id, _)) = FileId::of(&file) else {
            continue;
        };
        let stacks = known.entry(id).or_insert_with(|| {
            Arc::new(
                stacks::examine(&file)
                    .map(|report| report.stacks)
                    .unwrap_or_default(),
            )
        });
        all.extend(stacks.iter().map(|stack| (mapped.path.clone(), stack.clone())));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn all_processes_are_looked_at_and_those_without_tls_are_left_out() {
        let (last, total) = (Cell::new(0), Cell::new(0));
        let found = survey(|n, all| {
            last.set(n);
            total.set(all);
        });
        assert_eq!(last.get() + 1, total.get());
        assert!(found.iter().all(|process| !process.stacks.is_empty()));
        assert!(found.is_sorted_by_key(|process| process.pid));
    }
}
