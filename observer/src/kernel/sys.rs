//! System calls that no crate here has: uprobe multi links of bpf(2) (Linux 6.6), and fanotify(7). Thin: numbers in, descriptors out.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io, mem,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
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

/// A descriptor from which news of files are read (`fanotify_init(2)`). It does not block, and the files it hands over are open for reading.
///
/// # Errors
/// What the kernel says: it needs CAP_SYS_ADMIN.
pub(super) fn fanotify() -> io::Result<OwnedFd> {
    let flags = libc::FAN_CLASS_NOTIF | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK;
    let files = libc::O_RDONLY | libc::O_LARGEFILE | libc::O_CLOEXEC;
    // SAFETY: numbers only.
    let fd = unsafe { libc::fanotify_init(flags, files.cast_unsigned()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Asks for news of each file of the file system at `place` that is closed after it was open for writing (`fanotify_mark(2)`).
///
/// # Errors
/// What the kernel says.
pub(super) fn watch_written(news: &OwnedFd, place: &Path) -> io::Result<()> {
    let place = CString::new(place.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let flags = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
    // SAFETY: the path is kept alive during the call, and ends with NUL.
    let result = unsafe {
        libc::fanotify_mark(
            news.as_raw_fd(),
            flags,
            libc::FAN_CLOSE_WRITE,
            libc::AT_FDCWD,
            place.as_ptr(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// News that wait: who wrote, and the file. At most as many as one read gives.
///
/// # Errors
/// What read(2) says; an empty queue is none.
pub(super) fn written_files(news: &OwnedFd) -> io::Result<Vec<(u32, File)>> {
    // Each has 24 bytes, so at most 170 files are open at once.
    let mut buffer = [0; 4096];
    let len = match rustix::io::read(news, &mut buffer) {
        Ok(len) => len,
        Err(rustix::io::Errno::AGAIN) => 0,
        Err(errno) => return Err(errno.into()),
    };
    let mut files = Vec::new();
    let mut rest = buffer.get(..len).unwrap_or_default();
    while let Some((event, behind)) = next_event(rest) {
        rest = behind;
        let (fd, pid) = event;
        if fd >= 0 {
            // SAFETY: the kernel opened it for this reader, and nobody else has it.
            files.push((
                pid.cast_unsigned(),
                File::from(unsafe { OwnedFd::from_raw_fd(fd) }),
            ));
        }
    }
    Ok(files)
}

/// Descriptor and process of the first `struct fanotify_event_metadata`, and what is behind it.
fn next_event(bytes: &[u8]) -> Option<((i32, i32), &[u8])> {
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(i32::from_ne_bytes);
    let len = usize::try_from(word(0)?).ok().filter(|len| *len >= 24)?;
    Some(((word(16)?, word(20)?), bytes.get(len..)?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_read_one_after_the_other_and_cut_ones_end_it() {
        let event = |fd: i32, pid: i32| {
            let mut bytes = [0; 24];
            bytes[0] = 24;
            bytes[16..20].copy_from_slice(&fd.to_ne_bytes());
            bytes[20..].copy_from_slice(&pid.to_ne_bytes());
            bytes
        };
        let two = [event(7, 100), event(-1, 101)].concat();
        let (first, rest) = next_event(&two).unwrap();
        assert_eq!(first, (7, 100));
        let (second, rest) = next_event(rest).unwrap();
        assert_eq!((second, rest.len()), ((-1, 101), 0));
        assert!(next_event(rest).is_none());
        for cut in 0..24 {
            assert!(next_event(&two[..cut]).is_none(), "{cut}");
        }
        assert!(next_event(&[0; 24]).is_none(), "no length");
    }
}
