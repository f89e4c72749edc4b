//! Attaches the programs that are attached once for the whole host.

use aya::{
    Btf, Ebpf,
    programs::{Program, ProgramError},
};

use super::{
    load::{LoadError, chain, in_words, refused, walked},
    probes::{HOST_PROBES, Hook, HostProbe, ProbeState, SOCKET_EXITS, SOCKET_TRACEPOINTS},
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

/// `btf`: the kernel's types, for ends of its functions.
fn attach_all(
    ebpf: &mut Ebpf,
    probes: &[HostProbe],
    btf: Option<&Btf>,
) -> Result<Vec<(HostProbe, ProbeState)>, LoadError> {
    let mut states = Vec::new();
    for probe in probes {
        let state = match attach_host_probe(ebpf, probe, btf) {
            Ok(()) => ProbeState::Attached,
            Err(ProgramError::LoadError { .. }) if probe.required => {
                return Err(refused(ebpf, probe.program));
            }
            Err(error) if probe.required => {
                let reason = chain(&error);
                return Err(LoadError::NotAttached {
                    program: probe.program,
                    reason,
                    without: probe.without,
                });
            }
            Err(error) => ProbeState::Failed(in_words(&error)),
        };
        states.push((*probe, state));
    }
    Ok(states)
}

fn attach_host_probe(ebpf: &mut Ebpf, probe: &HostProbe, btf: Option<&Btf>) -> Result<(), ProgramError> {
    match (ebpf.program_mut(probe.program), probe.hook, btf) {
        (Some(Program::RawTracePoint(p)), Hook::RawTracepoint(name), _) => {
            p.load()?;
            tracing::debug!(program = name, instructions = walked(p.info()), "verified");
            p.attach(name).map(drop)
        }
        (Some(Program::TracePoint(p)), Hook::Tracepoint(category, name), _) => {
            p.load()?;
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
