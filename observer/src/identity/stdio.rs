//! Who speaks to a server on its standard input: the nearest process above it that reads something else. Those in between (a shell,
//! `npx`) pass theirs on.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use super::Ancestor;

/// Most descriptors of a process that are looked at.
const MAX_DESCRIPTORS: usize = 4_096;
/// Takes over processes whose parent has ended.
const INIT: u32 = 1;

/// The client of a server that has this ancestry.
pub(super) fn client(server: u32, ancestry: &[Ancestor]) -> Option<&Ancestor> {
    // Not descriptor 0 alone: some servers move their input away from what else may read it.
    let wires: HashSet<PathBuf> = descriptors(server).filter(|file| is_wire(file)).collect();
    for above in ancestry {
        // Of a process that cannot be looked at nobody knows whether it passes its input on.
        let input = fs::read_link(format!("/proc/{}/fd/0", above.pid)).ok()?;
        if !wires.contains(&input) {
            // Both ends of a pipe have one number; those of a pair of sockets do not, and there only the ancestry tells.
            let by_socket = wires.iter().any(|file| starts_with(file, "socket:"));
            let fits = by_socket || descriptors(above.pid).any(|file| wires.contains(&file));
            return (above.pid != INIT && fits).then_some(above);
        }
    }
    None
}

/// What the descriptors of a process are (proc(5)): `pipe:[4711]`, `socket:[4711]` or a path.
fn descriptors(pid: u32) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    entries
        .flatten()
        .take(MAX_DESCRIPTORS)
        .filter_map(|entry| fs::read_link(entry.path()).ok())
}

fn is_wire(file: &Path) -> bool {
    starts_with(file, "pipe:") || starts_with(file, "socket:")
}

fn starts_with(file: &Path, kind: &str) -> bool {
    file.as_os_str().as_encoded_bytes().starts_with(kind.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };

    use super::*;
    use crate::identity::ancestry;

    #[test]
    fn the_client_is_above_those_that_pass_their_input_on() {
        let mut shell = Command::new("sh")
            .args(["-c", "sh -c 'echo $$; read line'; true"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(shell.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let server: u32 = line.trim().parse().unwrap();
        let above = ancestry(super::super::proc::stat(server).unwrap().parent_pid);
        assert_eq!(above[0].pid, shell.id());
        let found = client(server, &above).map(|a| a.pid);
        assert_eq!(found, Some(std::process::id()));
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

    #[test]
    fn of_a_process_that_is_gone_nothing_is_known() {
        assert_eq!(client(u32::MAX - 1, &[]), None);
    }
}
