//! Function programs on uprobe multi links (Linux 6.6): one link for all places of a program in a file, no perf event, so no
//! CAP_SYS_ADMIN, and quick to detach. aya 0.14 cannot load programs for it, so the same object is prepared by aya-obj with the
//! maps that aya made, and loaded here.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::CString,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
};

use aya::{
    Ebpf,
    maps::{Map, MapData},
};
use aya_obj::{Object, ProgramSection};

use super::sys;

/// One loaded program.
#[derive(Debug)]
struct Program {
    fd: OwnedFd,
    at_return: bool,
}

/// The function programs.
#[derive(Debug)]
pub(super) struct MultiPrograms {
    programs: HashMap<String, Program>,
}

/// Why uprobe multi is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum MultiError {
    /// The kernel does not have it.
    #[error("the kernel has no uprobe multi links (Linux 6.6)")]
    NotSupported,
    /// The object could not be prepared.
    #[error("the kernel object: {0}")]
    Object(String),
    /// The kernel refused a program.
    #[error("program {0}: {1}")]
    Load(String, io::Error),
}

impl MultiPrograms {
    /// Loads the programs called `names` of the object, with the maps of `ebpf`, before those are taken out of it.
    ///
    /// # Errors
    /// [`MultiError`]. The programs then go on perf events.
    pub(super) fn load(object: &[u8], ebpf: &Ebpf, names: &BTreeSet<&str>) -> Result<Self, MultiError> {
        let object = prepare(object, ebpf)?;
        let mut programs = HashMap::new();
        for name in names {
            let program = object
                .programs
                .get(*name)
                .ok_or_else(|| MultiError::Object(format!("no program {name}")))?;
            let function = object
                .functions
                .get(&program.function_key())
                .ok_or_else(|| MultiError::Object(format!("no code of {name}")))?;
            let fd = sys::load_program(name, &function.instructions, &program.license)
                .map_err(|error| MultiError::Load((*name).to_owned(), error))?;
            if programs.is_empty() && !is_supported(&fd) {
                return Err(MultiError::NotSupported);
            }
            let at_return = matches!(program.section, ProgramSection::URetProbe { .. });
            programs.insert((*name).to_owned(), Program { fd, at_return });
        }
        Ok(Self { programs })
    }

    /// Attaches a program to places of a file, for all processes, until the descriptor is closed.
    ///
    /// # Errors
    /// In words, what the kernel said.
    pub(super) fn attach(&self, name: &str, file: &str, offsets: &[u64]) -> Result<OwnedFd, String> {
        let program = self
            .programs
            .get(name)
            .ok_or_else(|| format!("no program {name}"))?;
        let path = CString::new(file).map_err(|error| error.to_string())?;
        sys::link_uprobes(program.fd.as_fd(), &path, offsets, program.at_return)
            .map_err(|error| format!("uprobe multi link: {error}"))
    }
}

/// Code of the object with its maps and calls in place.
fn prepare(object: &[u8], ebpf: &Ebpf) -> Result<Object, MultiError> {
    let wrong = |error: &dyn std::error::Error| MultiError::Object(super::refusal::chain(error));
    let mut object = Object::parse(object).map_err(|e| wrong(&e))?;
    let maps = std::mem::take(&mut object.maps);
    let fds: HashMap<&str, RawFd> = ebpf
        .maps()
        .filter_map(|(name, map)| Some((name, map_data(map)?.fd().as_fd().as_raw_fd())))
        .collect();
    // One that is missing would be taken for another one of its section.
    if let Some(name) = maps.keys().find(|name| !fds.contains_key(name.as_str())) {
        return Err(MultiError::Object(format!("map {name} is not at hand")));
    }
    let found = maps
        .iter()
        .filter_map(|(name, map)| Some((name.as_str(), *fds.get(name.as_str())?, map)));
    let sections = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(found, &sections).map_err(|e| wrong(&e))?;
    object.relocate_calls(&sections).map_err(|e| wrong(&e))?;
    Ok(object)
}

/// What a map is made of; `None` for kinds that the kernel programs do not use.
fn map_data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::LpmTrie(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::PerCpuLruHashMap(data)
        | Map::RingBuf(data) => Some(data),
        _ => None,
    }
}

/// Whether the kernel makes such links: it then says that a folder is no file to be probed (so does libbpf ask).
fn is_supported(program: &OwnedFd) -> bool {
    let refused = sys::link_uprobes(program.as_fd(), c"/", &[0], false);
    refused.is_err_and(|error| error.raw_os_error() == Some(libc::EBADF))
}
