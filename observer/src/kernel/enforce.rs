//! The kernel's side of enforcement: its programs on the root of the cgroups, and the tables that they read.
//!
//! The programs hang on links that this process holds: when it ends, however it ends, they are gone. While it lives it gives its
//! word again and again (`renew`); without that the programs let everything through.

use std::{fs::File, net::Ipv6Addr, path::PathBuf};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData},
    programs::{CgroupAttachMode, Program},
};
use observer_common::enforce::{
    DOORS_MAX, Door, GUARDED_MAX, PROCESSES_MAX, ProcessId, STOP_DENY, STOP_DRY_RUN, STOPS_MAX, Stop,
    StopKey, USERS_MAX,
};

use super::{
    procfs::mounts,
    refusal::{LoadError, chain, refused},
    tables::take,
};

/// How long the daemon's word counts, ns: three seconds, thirty times what lies between two of them.
pub const WORD_NS: u64 = 3_000_000_000;

/// The programs, each with the hook that its section names.
pub(super) const PROGRAMS: [&str; 4] = [
    "enforce_connect4",
    "enforce_connect6",
    "enforce_send4",
    "enforce_send6",
];

/// Maps with their sizes, which are 1 where enforcement is off.
pub(super) const SIZES: [(&str, u32); 5] = [
    ("GUARDED", GUARDED_MAX),
    ("DOORS", DOORS_MAX),
    ("USERS", USERS_MAX),
    ("PROCESSES", PROCESSES_MAX),
    ("STOPS", STOPS_MAX),
];

/// A change of the kernel's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing is known any more.
    Clear,
    /// This port is open at this address, or (`UNSPECIFIED`) at all.
    Door(Ipv6Addr, u16),
    /// The user has this class.
    User(u32, u32),
    /// The process has this class.
    Process(ProcessId, u32),
    /// The process is gone.
    Gone(ProcessId),
    /// Calls to this address are looked at until then, ns since boot.
    Guard(Ipv6Addr, u64),
    /// They are not looked at any more.
    Release(Ipv6Addr),
    /// Calls of these classes are stopped.
    Stop {
        /// Where to.
        address: Ipv6Addr,
        /// Class of the user, class of the process.
        classes: (u32, u32),
        /// Until when, ns since boot.
        until_ns: u64,
        /// Number of the rule.
        rule: u32,
        /// Told only.
        dry_run: bool,
    },
    /// They are not stopped any more.
    Unstop(Ipv6Addr, (u32, u32)),
}

/// The daemon's side of the tables. Keys and values are the bytes of the layouts in `observer_common::enforce`.
pub struct Enforcer {
    pulse: Array<MapData, u64>,
    guarded: HashMap<MapData, [u8; 16], u64>,
    doors: HashMap<MapData, [u8; 20], u32>,
    users: HashMap<MapData, u32, u32>,
    processes: HashMap<MapData, [u8; 16], u32>,
    stops: HashMap<MapData, [u8; 24], [u8; 16]>,
}

impl Enforcer {
    /// Loads the programs and puts them on the root of the cgroups.
    ///
    /// # Errors
    /// [`LoadError`], with what to do.
    pub(super) fn start(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        let cgroup = root_cgroup()?;
        for name in PROGRAMS {
            let Some(Program::CgroupSockAddr(program)) = ebpf.program_mut(name) else {
                return Err(LoadError::Loader(format!("the object has no program {name}")));
            };
            if program.load().is_err() {
                return Err(refused(ebpf, name));
            }
            program
                // Links share a cgroup by themselves; the kernel takes no flags with them.
                .attach(&cgroup, CgroupAttachMode::Single)
                .map_err(|error| LoadError::NoEnforcement(chain(&error)))?;
        }
        Ok(Self {
            pulse: take(ebpf, "PULSE")?,
            guarded: take(ebpf, "GUARDED")?,
            doors: take(ebpf, "DOORS")?,
            users: take(ebpf, "USERS")?,
            processes: take(ebpf, "PROCESSES")?,
            stops: take(ebpf, "STOPS")?,
        })
    }

    /// Gives the daemon's word for the next [`WORD_NS`]; `now_ns` is CLOCK_BOOTTIME.
    pub fn renew(&mut self, now_ns: u64) {
        // A word that cannot be given is one that ends.
        let _ = self.pulse.set(0, now_ns.saturating_add(WORD_NS), 0);
    }

    /// Takes the word back: nothing is denied from now on.
    pub fn release(&mut self) {
        let _ = self.pulse.set(0, 0, 0);
    }

    /// Makes a change. What finds no room is open, and what is gone already is no error.
    pub fn change(&mut self, change: Change) {
        let _ = match change {
            Change::Clear => {
                self.clear();
                Ok(())
            }
            Change::Door(address, port) => self.doors.insert(door(address, port).to_bytes(), 1, 0),
            Change::User(uid, class) => self.users.insert(uid, class, 0),
            Change::Process(key, class) => self.processes.insert(key.to_bytes(), class, 0),
            Change::Gone(key) => self.processes.remove(&key.to_bytes()),
            Change::Guard(address, until_ns) => self.guarded.insert(address.octets(), until_ns, 0),
            Change::Release(address) => self.guarded.remove(&address.octets()),
            Change::Stop {
                address,
                classes,
                until_ns,
                rule,
                dry_run,
            } => {
                let stop = Stop {
                    until_ns,
                    rule,
                    action: if dry_run { STOP_DRY_RUN } else { STOP_DENY },
                };
                self.stops
                    .insert(stop_key(address, classes).to_bytes(), stop.to_bytes(), 0)
            }
            Change::Unstop(address, classes) => self.stops.remove(&stop_key(address, classes).to_bytes()),
        };
    }

    fn clear(&mut self) {
        fn empty<K: aya::Pod, V: aya::Pod>(map: &mut HashMap<MapData, K, V>) {
            let keys: Vec<K> = map.keys().filter_map(Result::ok).collect();
            for key in keys {
                let _ = map.remove(&key);
            }
        }
        // First of all nothing is looked at any more.
        empty(&mut self.guarded);
        empty(&mut self.stops);
        empty(&mut self.doors);
        empty(&mut self.users);
        empty(&mut self.processes);
    }
}

fn door(address: Ipv6Addr, port: u16) -> Door {
    Door {
        address: address.octets(),
        port,
        pad: 0,
    }
}

fn stop_key(address: Ipv6Addr, (user, process): (u32, u32)) -> StopKey {
    StopKey {
        address: address.octets(),
        user,
        process,
    }
}

/// The root of all cgroups. In a container of its own, this process sees only its part; the mount of process 1 shows all.
fn root_cgroup() -> Result<File, LoadError> {
    let of_init = mount_point("/proc/1/mountinfo").map(|path| {
        let inside = path.strip_prefix("/").unwrap_or(&path).to_path_buf();
        PathBuf::from("/proc/1/root").join(inside)
    });
    let own = mount_point("/proc/self/mountinfo");
    let opened = of_init
        .into_iter()
        .chain(own)
        .find_map(|path| File::open(path).ok());
    opened.ok_or_else(|| {
        LoadError::NoEnforcement(
            "no cgroup file system of version 2 is mounted (mount -t cgroup2 none /sys/fs/cgroup/unified)"
                .to_owned(),
        )
    })
}

fn mount_point(mountinfo: &str) -> Option<PathBuf> {
    parse_mount_point(&std::fs::read_to_string(mountinfo).ok()?)
}

/// Where cgroups of version 2 are mounted: a mount of the root before one of a part.
fn parse_mount_point(mountinfo: &str) -> Option<PathBuf> {
    mounts(mountinfo, "cgroup2")
        .min_by_key(|(root, _)| *root != "/")
        .map(|(_, point)| PathBuf::from(point))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_layouts() {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
        let key = Door {
            address: address.octets(),
            port: 443,
            pad: 0,
        };
        assert_eq!(door(address, 443).to_bytes()[16..18], key.port.to_ne_bytes());
        assert_eq!(std::mem::offset_of!(Door, port), 16);
        assert_eq!(
            (
                std::mem::offset_of!(ProcessId, pid),
                std::mem::offset_of!(ProcessId, start_ns)
            ),
            (8, 0)
        );
        assert_eq!(
            (
                std::mem::offset_of!(StopKey, user),
                std::mem::offset_of!(StopKey, process)
            ),
            (16, 20)
        );
        let of = (
            std::mem::offset_of!(Stop, until_ns),
            std::mem::offset_of!(Stop, rule),
            std::mem::offset_of!(Stop, action),
        );
        assert_eq!(of, (0, 8, 12));
        let bytes = stop_key(address, (1, 2)).to_bytes();
        assert_eq!(
            (&bytes[..16], bytes[16..20].to_vec(), bytes[20..].to_vec()),
            (
                &address.octets()[..],
                1u32.to_ne_bytes().to_vec(),
                2u32.to_ne_bytes().to_vec()
            )
        );
        let stop = Stop {
            until_ns: 5,
            rule: 6,
            action: 7,
        };
        assert_eq!(stop.to_bytes()[8..12], 6u32.to_ne_bytes());
    }

    #[test]
    fn the_mount_of_the_root_is_found() {
        let text = "30 24 0:26 /docker/x /mnt/part rw - cgroup2 cgroup2 rw\n31 24 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw\n\
                    32 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        assert_eq!(
            parse_mount_point(text),
            Some(PathBuf::from("/sys/fs/cgroup/unified"))
        );
        assert_eq!(
            parse_mount_point("32 24 0:27 / /sys rw - sysfs sysfs rw\nbroken\n"),
            None
        );
    }
}
