//! Looks through all processes once: which TLS stacks they have, without attaching to anything.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    sync::Arc,
};

use super::{
    attach::{Unread, opaque_reason, unread},
    file_id::FileId,
    maps::{is_gone, mappings, open_mapped},
    procfs::processes,
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
    /// What is not read beside them, and the file that it is in.
    pub unread: Vec<(String, Unread)>,
}

impl SurveyedProcess {
    /// The first stack that cannot be read, and why; `None` when all can.
    pub fn opaque(&self) -> Option<(&str, OpaqueReason)> {
        let stacks = self
            .stacks
            .iter()
            .filter_map(|(path, stack)| Some((path.as_str(), opaque_reason(stack)?)));
        let unread = self
            .unread
            .iter()
            .map(|(path, (_, reason))| (path.as_str(), *reason));
        stacks.chain(unread).next()
    }
}

/// What was found in a file.
type Found = Arc<(Vec<Stack>, BTreeSet<Unread>)>;

/// All processes with a TLS stack, or with a file that may have one, by id. `progress` hears how many of how many processes were looked at.
pub fn survey(progress: impl Fn(usize, usize)) -> Vec<SurveyedProcess> {
    let own = std::process::id();
    let pids: Vec<u32> = processes().into_iter().filter(|pid| *pid != own).collect();
    let mut known: HashMap<FileId, Found> = HashMap::new();
    let mut found = Vec::new();
    for (n, pid) in pids.iter().enumerate() {
        progress(n, pids.len());
        let (stacks, unread) = look_into(*pid, &mut known);
        if !stacks.is_empty() || !unread.is_empty() {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            found.push(SurveyedProcess {
                pid: *pid,
                comm: comm.trim_end().to_owned(),
                stacks,
                unread,
            });
        }
    }
    found.sort_by_key(|process| process.pid);
    found
}

/// What was found, each with the path of its file.
type InFiles<T> = Vec<(String, T)>;

/// Stacks of a process, and what is not read beside them.
fn look_into(pid: u32, known: &mut HashMap<FileId, Found>) -> (InFiles<Stack>, InFiles<Unread>) {
    let (mut found_stacks, mut unread_files) = (Vec::new(), Vec::new());
    let not_examined = ("", OpaqueReason::NotExamined);
    let mapped = mappings(pid);
    for mapped in &mapped.executable {
        let path = mapped.path.to_string_lossy().into_owned();
        let file = match open_mapped(pid, mapped) {
            Ok(Some(file)) => file,
            Ok(None) => continue,
            Err(_) if is_gone(pid) => break,
            Err(_) => {
                unread_files.push((path, not_examined));
                continue;
            }
        };
        let Some((id, _)) = FileId::of(&file) else {
            continue;
        };
        let found = Arc::clone(known.entry(id).or_insert_with(|| {
            let report = stacks::examine(&file);
            let unread = unread(report.as_ref());
            Arc::new((report.map(|report| report.stacks).unwrap_or_default(), unread))
        }));
        found_stacks.extend(found.0.iter().map(|stack| (path.clone(), stack.clone())));
        unread_files.extend(found.1.iter().map(|unread| (path.clone(), *unread)));
    }
    if mapped.is_cut {
        unread_files.push(("further files".to_owned(), not_examined));
    }
    (found_stacks, unread_files)
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
        let has_any = |process: &SurveyedProcess| !process.stacks.is_empty() || !process.unread.is_empty();
        assert!(found.iter().all(has_any));
        assert!(found.is_sorted_by_key(|process| process.pid));
    }
}
