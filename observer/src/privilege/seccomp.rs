//! System calls that the daemon never makes, refused by the kernel from then on: a list of what is denied, since the programs
//! that the daemon starts (the ClickHouse engine, the host's libssl) make calls that we do not know.
//!
//! A refused call fails with EPERM and ends nothing. `clone3` does not exist (ENOSYS), so that libraries take `clone`, whose
//! flags can be looked at: no new namespace is made.

use anyhow::Context;
use libc::{sock_filter, sock_fprog};

/// Other processes, other kernels, other file systems, clocks and names of the host, keys, and doors that had many faults.
const DENIED: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mknodat,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_personality,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];

#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[libc::c_long] = &[
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_kexec_file_load,
    libc::SYS_mknod,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[libc::c_long] = &[];

/// Kinds of sockets that are needed; others, such as raw packets and the kernel's crypto, do not exist.
const SOCKETS: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// `CLONE_NEW…`: cgroup, uts, ipc, user, pid, net, mount, time is only of clone3.
const NEW_NAMESPACE: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// `AUDIT_ARCH_…` of linux/audit.h: machine with the flags for 64 bit and little endian.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 62 | 0xC000_0000;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 183 | 0xC000_0000;

/// From this number on calls are those of x32, a second way to everything (x86 only).
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// Offsets in `struct seccomp_data`: number, architecture, low half of the first argument (little endian).
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

fn refuse(errno: libc::c_int) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()
}

/// One instruction: where a condition holds it goes `yes` further, else `no`.
fn instruction(code: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter {
        // All codes of classic BPF have at most 16 bits.
        code: u16::try_from(code).unwrap_or(0),
        jt: yes,
        jf: no,
        k,
    }
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

/// The filter, a program of classic BPF over `struct seccomp_data`.
/// `setns`: the call that enters namespaces of other processes is allowed.
pub(super) fn filter(setns: bool) -> Vec<sock_filter> {
    let mut program = vec![
        instruction(LOAD, ARCH, 0, 0),
        instruction(EQUAL, ARCHITECTURE, 1, 0),
        instruction(RETURN, refuse(libc::EPERM), 0, 0),
        instruction(LOAD, NUMBER, 0, 0),
    ];
    #[cfg(target_arch = "x86_64")]
    program.extend([
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, X32, 0, 1),
        instruction(RETURN, refuse(libc::EPERM), 0, 0),
    ]);
    let allowed = |call: &&libc::c_long| setns && **call == libc::SYS_setns;
    for call in DENIED.iter().chain(DENIED_HERE).filter(|call| !allowed(call)) {
        program.push(instruction(EQUAL, number(*call), 0, 1));
        program.push(instruction(RETURN, refuse(libc::EPERM), 0, 0));
    }
    program.extend([
        instruction(EQUAL, number(libc::SYS_clone3), 0, 1),
        instruction(RETURN, refuse(libc::ENOSYS), 0, 0),
        instruction(EQUAL, number(libc::SYS_clone), 0, 4),
        instruction(LOAD, FIRST_ARGUMENT, 0, 0),
        instruction(ANY_BIT, NEW_NAMESPACE.cast_unsigned(), 0, 1),
        instruction(RETURN, refuse(libc::EPERM), 0, 0),
        instruction(RETURN, ALLOW, 0, 0),
        instruction(EQUAL, number(libc::SYS_socket), 1, 0),
        instruction(RETURN, ALLOW, 0, 0),
        instruction(LOAD, FIRST_ARGUMENT, 0, 0),
    ]);
    for family in SOCKETS {
        program.push(instruction(EQUAL, family.cast_unsigned(), 0, 1));
        program.push(instruction(RETURN, ALLOW, 0, 0));
    }
    program.push(instruction(RETURN, refuse(libc::EAFNOSUPPORT), 0, 0));
    program
}

/// Puts the filter before all system calls of all threads of this process, and of what it starts.
///
/// # Errors
/// What seccomp(2) says.
pub(super) fn install(program: &[sock_filter]) -> anyhow::Result<()> {
    // Without it the kernel takes filters from CAP_SYS_ADMIN only.
    rustix::thread::set_no_new_privs(true).context("no_new_privs")?;
    let argument = sock_fprog {
        len: u16::try_from(program.len()).context("a filter that is too long")?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program during the call and writes nothing to it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const argument,
        )
    };
    match result {
        0 => Ok(()),
        // With this flag a positive number is a thread that has a filter of its own.
        thread if thread > 0 => anyhow::bail!("seccomp: thread {thread} cannot be brought under the filter"),
        _ => Err(std::io::Error::last_os_error()).context("seccomp"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter says to a call.
    fn judge(arch: u32, call: u32, argument: u32) -> u32 {
        judge_by(&filter(false), arch, call, argument)
    }

    fn judge_by(program: &[sock_filter], arch: u32, call: u32, argument: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { step.jt } else { step.jf });
            match u32::from(step.code) {
                LOAD => {
                    value = match step.k {
                        NUMBER => call,
                        ARCH => arch,
                        FIRST_ARGUMENT => argument,
                        other => panic!("load at {other}"),
                    }
                }
                EQUAL => at += jump(value == step.k),
                ANY_BIT => at += jump(value & step.k != 0),
                RETURN => return step.k,
                // The one that is left.
                _ => at += jump(value >= step.k),
            }
        }
    }

    fn here(call: libc::c_long, argument: libc::c_int) -> u32 {
        judge(ARCHITECTURE, number(call), argument.cast_unsigned())
    }

    #[test]
    fn what_is_denied_is_denied_and_the_rest_is_not() {
        for call in DENIED.iter().chain(DENIED_HERE) {
            assert_eq!(here(*call, 0), refuse(libc::EPERM), "{call}");
        }
        for call in [
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_openat,
            libc::SYS_execve,
            libc::SYS_setuid,
            libc::SYS_futex,
        ] {
            assert_eq!(here(call, 0), ALLOW, "{call}");
        }
    }

    #[test]
    fn only_enforcement_enters_other_networks() {
        let setns = number(libc::SYS_setns);
        assert_eq!(judge_by(&filter(true), ARCHITECTURE, setns, 0), ALLOW);
        let unshare = number(libc::SYS_unshare);
        assert_eq!(
            judge_by(&filter(true), ARCHITECTURE, unshare, 0),
            refuse(libc::EPERM)
        );
    }

    #[test]
    fn threads_and_programs_can_be_started_and_namespaces_cannot() {
        assert_eq!(here(libc::SYS_clone, libc::CLONE_VM | libc::CLONE_THREAD), ALLOW);
        assert_eq!(here(libc::SYS_clone, libc::SIGCHLD), ALLOW);
        let user = libc::CLONE_NEWUSER | libc::SIGCHLD;
        assert_eq!(here(libc::SYS_clone, user), refuse(libc::EPERM));
        assert_eq!(here(libc::SYS_clone3, 0), refuse(libc::ENOSYS));
    }

    #[test]
    fn only_the_usual_sockets_exist() {
        for family in SOCKETS {
            assert_eq!(here(libc::SYS_socket, family), ALLOW);
        }
        for family in [libc::AF_PACKET, libc::AF_ALG, libc::AF_VSOCK] {
            assert_eq!(here(libc::SYS_socket, family), refuse(libc::EAFNOSUPPORT));
        }
    }

    #[test]
    fn other_ways_into_the_kernel_are_closed() {
        // AUDIT_ARCH_I386
        assert_eq!(judge(0x4000_0003, 1, 0), refuse(libc::EPERM));
        #[cfg(target_arch = "x86_64")]
        assert_eq!(judge(ARCHITECTURE, X32 | 1, 0), refuse(libc::EPERM));
    }
}
