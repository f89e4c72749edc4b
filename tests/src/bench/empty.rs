//! The reference: probes that do nothing, at the same place.

use std::path::PathBuf;

use anyhow::{Context, Result};
use aya::programs::uprobe::UProbeScope;
use aya::programs::{Program, UProbe};
use aya::{Ebpf, EbpfLoader};
use observer::stacks::Direction;

/// Empty probes in place. Dropping it takes them away.
pub(super) struct EmptyProbes {
    _ebpf: Ebpf,
}

/// A function in a file that a process has loaded.
pub(super) struct Function {
    library: PathBuf,
    offset: u64,
    /// Its return can be probed, too.
    returns: bool,
}

impl Function {
    /// `name` in the libssl that this process has mapped.
    pub(super) fn named(pid: u32, name: &str) -> Result<Self> {
        Self::named_in(libssl(pid)?, name)
    }

    /// `name` in this file. Of Go's functions the entry only: a return probe crashes them.
    pub(super) fn named_in(library: PathBuf, name: &str) -> Result<Self> {
        let file = std::fs::File::open(&library).context("library")?;
        let offsets = observer::stacks::symbols::function_offsets(&file, &[name])?;
        let offset = *offsets
            .get(name)
            .with_context(|| format!("no {name} in {}", library.display()))?;
        let returns = !name.contains('/');
        Ok(Self {
            library,
            offset,
            returns,
        })
    }

    /// Where Observer probes writes in that libssl.
    pub(super) fn chosen(pid: u32) -> Result<Self> {
        Self::chosen_in(libssl(pid)?)
    }

    /// Where Observer probes writes in this file.
    pub(super) fn chosen_in(library: PathBuf) -> Result<Self> {
        let file = std::fs::File::open(&library).context("library")?;
        let report = observer::stacks::examine(&file)?;
        let mut points = report.stacks.iter().flat_map(|stack| &stack.points);
        let write = points
            .find(|point| point.call.direction() == Some(Direction::Write))
            .with_context(|| format!("no place for writes in {}", library.display()))?;
        Ok(Self {
            offset: write.offset,
            returns: write.call.has_return(),
            library,
        })
    }
}

/// The libssl that a process has mapped.
fn libssl(pid: u32) -> Result<PathBuf> {
    mapped(pid, "/libssl")
}

/// The file with this in its path that a process has mapped.
pub(super) fn mapped(pid: u32, part: &str) -> Result<PathBuf> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).context("maps of the script")?;
    maps.lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains(part))
        .map(PathBuf::from)
        .with_context(|| format!("the script has no {part} loaded"))
}

impl EmptyProbes {
    /// Attaches an empty probe to the entry and, where that can be, one to the return of a function, in every process.
    pub(super) fn attach(to: &Function) -> Result<Self> {
        let object = std::env::var_os("OBSERVER_EBPF_OBJECT")
            .map_or_else(|| PathBuf::from(".observer/observer-ebpf.o"), PathBuf::from);
        let bytes = std::fs::read(&object).with_context(|| format!("cannot read {}", object.display()))?;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("RECORDS", 4096)
            .load(&bytes)
            .context("cannot load the kernel object")?;
        let names = if to.returns {
            &["empty_exit", "empty_enter"][..]
        } else {
            &["empty_enter"]
        };
        for name in names {
            let program: &mut UProbe = match ebpf.program_mut(name) {
                Some(Program::UProbe(program)) => program,
                _ => anyhow::bail!("the kernel object has no uprobe program {name}"),
            };
            program.load().with_context(|| format!("cannot load {name}"))?;
            program
                .attach(to.offset, &to.library, UProbeScope::AllProcesses)
                .with_context(|| format!("cannot attach {name}"))?;
        }
        Ok(Self { _ebpf: ebpf })
    }
}
