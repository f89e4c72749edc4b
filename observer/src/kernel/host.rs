//! Attaches the programs that are attached once for the whole host.

use std::collections::BTreeMap;

use aya::{
    Btf, Ebpf,
    programs::{Program, ProgramError},
};

use super::{
    load::walked,
    probes::{HOST_PROBES, Hook, HostProbe, ProbeState, SOCKET_EXITS, SOCKET_TRACEPOINTS},
    refusal::{LoadError, chain, in_words, refused},
};

/// Attaches what is attached once for the host. `tracepoints`: the kernel has those of socket calls.
///
/// # Errors
/// When something is refused that Observer cannot do without.
pub(super) fn attach(ebpf: &mut Ebpf, tracepoints: bool) -> Result<Vec<(HostProbe, ProbeState)>, LoadError> {
    let mut states = attach_all(ebpf, HOST_PROBES, None)?;
    states.extend(if tracepoints {
        attach_all(ebpf, SOCKET_TRACEPOINTS, None)?
    } else {
        attach_exits(ebpf)?
    });
    Ok(states)
}

/// Attaches to the ends of the functions behind socket calls.
fn attach_exits(ebpf: &mut Ebpf) -> Result<Vec<(HostProbe, ProbeState)>, LoadError> {
    match Btf::from_sys_fs() {
        Ok(btf) => attach_all(ebpf, SOCKET_EXITS, Some(&btf)),
        Err(error) => {
            let failed = ProbeState::Failed(chain(&error));
            Ok(SOCKET_EXITS
                .iter()
                .map(|probe| (*probe, failed.clone()))
                .collect())
        }
    }
}

/// Attaches each probe. One that is not required and refused has the kernel's reason as its state. `btf`: the kernel's types, for ends
/// of its functions.
///
/// # Errors
/// When one is refused that is required.
pub(super) fn attach_all(
    ebpf: &mut Ebpf,
    probes: &[HostProbe],
    btf: Option<&Btf>,
) -> Result<Vec<(HostProbe, ProbeState)>, LoadError> {
    let mut states: Vec<(HostProbe, ProbeState)> = Vec::new();
    // A program that serves several hooks is refused once: its verifier takes a while.
    let mut refused: BTreeMap<&str, ProbeState> = BTreeMap::new();
    for probe in probes {
        let state = match refused.get(probe.program) {
            Some(state) => state.clone(),
            None => match attach_host_probe(ebpf, probe, btf) {
                Ok(()) => ProbeState::Attached,
                Err(error) if probe.required => return Err(missing(ebpf, probe, &error)),
                Err(error) => {
                    let state = ProbeState::Failed(in_words(&error));
                    if matches!(error, ProgramError::LoadError { .. }) {
                        refused.insert(probe.program, state.clone());
                    }
                    state
                }
            },
        };
        states.push((*probe, state));
    }
    Ok(states)
}

/// Why a required probe is not in place.
fn missing(ebpf: &mut Ebpf, probe: &HostProbe, error: &ProgramError) -> LoadError {
    if matches!(error, ProgramError::LoadError { .. }) {
        return refused(ebpf, probe.program);
    }
    LoadError::NotAttached {
        program: probe.program,
        reason: chain(error),
        without: probe.without,
    }
}

/// A program that serves several hooks is loaded for the first one.
fn once(loaded: Result<(), ProgramError>) -> Result<(), ProgramError> {
    match loaded {
        Err(ProgramError::AlreadyLoaded) => Ok(()),
        other => other,
    }
}

fn attach_host_probe(ebpf: &mut Ebpf, probe: &HostProbe, btf: Option<&Btf>) -> Result<(), ProgramError> {
    match (ebpf.program_mut(probe.program), probe.hook, btf) {
        (Some(Program::RawTracePoint(p)), Hook::RawTracepoint(name), _) => {
            p.load()?;
            tracing::debug!(program = name, instructions = walked(p.info()), "verified");
            p.attach(name).map(drop)
        }
        (Some(Program::TracePoint(p)), Hook::Tracepoint(category, name), _) => {
            once(p.load())?;
            p.attach(category, name).map(drop)
        }
        (Some(Program::FExit(p)), Hook::FunctionExit(function), Some(btf)) => {
            p.load(function, btf)?;
            tracing::debug!(program = function, instructions = walked(p.info()), "verified");
            p.attach().map(drop)
        }
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
