//! Attaches to the functions of one file, once per real inode.

use std::{
    collections::HashMap,
    fs::File,
    os::{fd::AsRawFd, unix::fs::MetadataExt},
};

use aya::programs::{Program, uprobe::UProbeScope};

use crate::stacks::symbols::function_offsets;

use super::{
    load::{Programs, chain},
    probes::{OPENSSL, ProbeState, is_readable},
};

/// Identity of a file on this host. Through overlay mounts one file can have several; the kernel programs drop the
/// second report of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
    /// Seconds and nanoseconds of the last change: a library replaced in place is another file.
    changed: (i64, i64),
}

/// A file with a TLS library in it, and what became of its probes.
#[derive(Debug, Clone)]
pub struct TlsFile {
    /// Path under which it was first found.
    pub path: String,
    /// Functions and their probes.
    pub probes: Vec<(&'static str, ProbeState)>,
}

impl TlsFile {
    /// Whether plaintext of both directions is read: the functions it defines are all attached.
    pub fn is_attached(&self) -> bool {
        self.probes
            .iter()
            .all(|(_, state)| *state == ProbeState::Attached)
    }

    /// First reason why it is not.
    pub fn failure(&self) -> Option<&str> {
        self.probes.iter().find_map(|(_, state)| match state {
            ProbeState::Failed(reason) => Some(reason.as_str()),
            ProbeState::Attached => None,
        })
    }
}

/// Files that were looked at.
#[derive(Debug, Default)]
pub struct Inventory {
    /// `None` for a file without a TLS library.
    files: HashMap<FileId, Option<TlsFile>>,
}

/// Most files remembered; beyond it the ones without a TLS library are forgotten and looked at again.
const MAX_FILES: usize = 65_536;

impl Inventory {
    /// Files with a TLS library.
    pub fn tls_files(&self) -> impl Iterator<Item = &TlsFile> {
        self.files.values().flatten()
    }

    /// Looks at an open file and attaches to it if it is new and has a TLS library. Gives the entry when it is new.
    pub fn examine(&mut self, programs: &mut Programs, file: &File, path: &str) -> Option<&TlsFile> {
        let id = identify(file)?;
        if self.files.contains_key(&id) {
            return None;
        }
        if self.files.len() >= MAX_FILES {
            self.files.retain(|_, tls| tls.is_some());
        }
        let found = attach(programs, file, path);
        self.files.entry(id).or_insert(found).as_ref()
    }
}

fn identify(file: &File) -> Option<FileId> {
    let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    Some(FileId {
        device: meta.dev(),
        inode: meta.ino(),
        changed: (meta.mtime(), meta.mtime_nsec()),
    })
}

fn attach(programs: &mut Programs, file: &File, path: &str) -> Option<TlsFile> {
    let names: Vec<&str> = OPENSSL.iter().map(|f| f.symbol).collect();
    let offsets = match function_offsets(file, &names) {
        Ok(offsets) if is_readable(|name| offsets.contains_key(name)) => offsets,
        // Not ELF, or no TLS library by name: nothing that can be attached by symbol.
        _ => return None,
    };
    // The descriptor names the file whatever becomes of its path and whichever mount namespace it is in.
    let target = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut probes = Vec::new();
    for function in OPENSSL {
        let Some(offset) = offsets.get(function.symbol) else {
            continue;
        };
        // The return first: a call that enters in between is then dropped, instead of being kept without an end.
        let order = function.exit.into_iter().chain([function.enter]);
        let failed = order
            .map(|program| attach_one(programs, program, *offset, &target))
            .find_map(Result::err);
        probes.push((
            function.symbol,
            failed.map_or(ProbeState::Attached, ProbeState::Failed),
        ));
    }
    Some(TlsFile {
        path: path.to_owned(),
        probes,
    })
}

fn attach_one(programs: &mut Programs, name: &str, offset: u64, target: &str) -> Result<(), String> {
    let Some(Program::UProbe(program)) = programs.ebpf.program_mut(name) else {
        return Err(format!("no program {name}"));
    };
    program
        .attach(offset, target, UProbeScope::AllProcesses)
        .map(drop)
        .map_err(|e| chain(&e))
}
