//! Who speaks to a server on its standard input: the nearest process above it that has another input. Those in between (a shell, `npx`)
//! pass theirs on.

use std::{
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
    let input = descriptor(server, "0")?;
    let client = ancestry
        .iter()
        .find(|above| descriptor(above.pid, "0").as_ref() != Some(&input))?;
    // Both ends of a pipe have one number; those of a pair of sockets do not, and there only the ancestry tells.
    let is_pipe = input.to_string_lossy().starts_with("pipe:");
    (client.pid != INIT && (!is_pipe || holds(client.pid, &input))).then_some(client)
}

fn holds(pid: u32, file: &Path) -> bool {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    entries
        .flatten()
        .take(MAX_DESCRIPTORS)
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|link| link == file))
}

/// What a descriptor is (proc(5)): `pipe:[4711]`, `socket:[4711]` or a path.
fn descriptor(pid: u32, number: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()
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
