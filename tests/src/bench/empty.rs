//! The reference: probes that do nothing, at the same place.

use std::path::PathBuf;

use anyhow::{Context, Result};
use aya::programs::uprobe::UProbeScope;
use aya::programs::{Program, UProbe};
use aya::{Ebpf, EbpfLoader};
use observer::stacks::Call;

/// Empty probes in place. Dropping it takes them away.
pub(super) struct EmptyProbes {
    _ebpf: Ebpf,
}

/// A function in a library that a process has loaded.
pub(super) struct Function {
    library: PathBuf,
    offset: u64,
}

impl Function {
    /// `name` in the libssl that this process has mapped.
    pub(super) fn named(pid: u32, name: &str) -> Result<Self> {
        let library = libssl(pid)?;
        let file = std::fs::File::open(&library).context("libssl")?;
        let offsets = observer::stacks::symbols::function_offsets(&file, &[name])?;
        let offset = *offsets
            .get(name)
            .with_context(|| format!("no {name} in libssl"))?;
        Ok(Self { library, offset })
    }

    /// Where Observer probes writes in that libssl.
    pub(super) fn chosen(pid: u32) -> Result<Self> {
        let library = libssl(pid)?;
        let file = std::fs::File::open(&library).context("libssl")?;
        let report = observer::stacks::examine(&file)?;
        let mut points = report.stacks.iter().flat_map(|stack| &stack.points);
        let write = points.find(|point| matches!(point.call, Call::WriteEx { .. }));
        let offset = write.context("no place for writes in libssl")?.offset;
        Ok(Self { library, offset })
    }
}

/// The libssl that a process has mapped.
fn libssl(pid: u32) -> Result<PathBuf> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).context("maps of the script")?;
    maps.lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains("/libssl"))
        .map(PathBuf::from)
        .context("the script has no libssl loaded")
}

impl EmptyProbes {
    /// Attaches an empty probe to the entry and one to the return of a function, in every process.
    pub(super) fn attach(to: &Function) -> Result<Self> {
        let object = std::env::var_os("OBSERVER_EBPF_OBJECT")
            .map_or_else(|| PathBuf::from(".observer/observer-ebpf.o"), PathBuf::from);
        let bytes = std::fs::read(&object).with_context(|| format!("cannot read {}", object.display()))?;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("RECORDS", 4096)
            .load(&bytes)
            .context("cannot load the kernel object")?;
        for name in ["empty_exit", "empty_enter"] {
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
