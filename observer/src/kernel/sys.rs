//! System calls of bpf(2) that aya has no call for: uprobe multi links (Linux 6.6). Thin: numbers in, descriptors out.

use std::{
    ffi::CStr,
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use aya_obj::generated::{
    BPF_F_UPROBE_MULTI_RETURN, bpf_attach_type::BPF_TRACE_UPROBE_MULTI, bpf_attr, bpf_cmd, bpf_insn,
    bpf_prog_type::BPF_PROG_TYPE_KPROBE,
};

/// Loads a program that a uprobe multi link can take.
///
/// # Errors
/// What bpf(2), `BPF_PROG_LOAD`, says.
pub(super) fn load_program(name: &str, instructions: &[bpf_insn], license: &CStr) -> io::Result<OwnedFd> {
    let count = u32::try_from(instructions.len()).map_err(io::Error::other)?;
    let mut attr = empty_attr();
    // SAFETY: the union is all zeros, which is valid for each of its structures.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    // The kernel takes letters, digits, `_` and `.`; the last byte stays NUL.
    let room = load.prog_name.len() - 1;
    for (slot, byte) in load.prog_name.iter_mut().take(room).zip(name.bytes()) {
        *slot = byte.cast_signed();
    }
    load.prog_type = BPF_PROG_TYPE_KPROBE as u32;
    load.expected_attach_type = BPF_TRACE_UPROBE_MULTI as u32;
    load.insns = instructions.as_ptr() as u64;
    load.insn_cnt = count;
    load.license = license.as_ptr() as u64;
    bpf(bpf_cmd::BPF_PROG_LOAD, &attr)
}

/// Attaches a program to places of a file, for all processes: at the entry, or at the return of what begins there.
/// Closing the descriptor detaches it.
///
/// # Errors
/// What bpf(2), `BPF_LINK_CREATE`, says.
pub(super) fn link_uprobes(
    program: BorrowedFd<'_>,
    file: &CStr,
    offsets: &[u64],
    at_return: bool,
) -> io::Result<OwnedFd> {
    let count = u32::try_from(offsets.len()).map_err(io::Error::other)?;
    let mut attr = empty_attr();
    // SAFETY: as above.
    let link = unsafe { &mut attr.link_create };
    link.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    link.attach_type = BPF_TRACE_UPROBE_MULTI as u32;
    // SAFETY: as above.
    let multi = unsafe { &mut link.__bindgen_anon_3.uprobe_multi };
    multi.path = file.as_ptr() as u64;
    multi.offsets = offsets.as_ptr() as u64;
    multi.cnt = count;
    multi.flags = if at_return { BPF_F_UPROBE_MULTI_RETURN } else { 0 };
    bpf(bpf_cmd::BPF_LINK_CREATE, &attr)
}

fn empty_attr() -> bpf_attr {
    // SAFETY: a union of structures of integers, for which all zeros is a value.
    unsafe { mem::zeroed() }
}

/// A command that gives a new descriptor.
fn bpf(command: bpf_cmd, attr: &bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads `attr`, and what its pointers name, during the call; the callers keep all of it alive.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_ref(attr),
            size_of::<bpf_attr>(),
        )
    };
    let fd = i32::try_from(result).unwrap_or(-1);
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both commands give a descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
