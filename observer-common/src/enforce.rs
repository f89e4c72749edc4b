//! Keys and values of the maps of enforcement. The daemon writes all of them, the kernel programs only read.
//!
//! A call is denied when all of this holds: the daemon renewed its word not long ago, the address is guarded, the port is
//! not open, and there is a stop for this address, the class of the user and the class of the program. Everything that is
//! missing, full or too old lets the call through.

use crate::decode::{Field, Fixed};

/// Most addresses guarded at the same time; the least used one gives way.
pub const GUARDED_MAX: u32 = 16_384;
/// Most stops, over all addresses and classes.
pub const STOPS_MAX: u32 = 65_536;
/// Most ports that are always open, alone or at an address.
pub const DOORS_MAX: u32 = 4_096;
/// Most users and most processes that have a class.
pub const USERS_MAX: u32 = 16_384;
/// As above, of processes.
pub const PROCESSES_MAX: u32 = 65_536;

/// Class of a user or process that the daemon has not seen: denied only what is denied whoever it is.
pub const CLASS_NOT_SEEN: u32 = 0;

/// Action of a stop: the call fails.
pub const STOP_DENY: u32 = 1;
/// Action of a stop: the call goes on, and is told.
pub const STOP_DRY_RUN: u32 = 2;

macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $size:literal { $($(#[$fmeta:meta])* $field:ident : $ty:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* }

        const _: () = assert!(core::mem::size_of::<$name>() == $size);

        impl $name {
            /// The bytes that the kernel map holds.
            pub fn to_bytes(&self) -> [u8; $size] {
                let mut bytes = Fixed::new();
                $(self.$field.put(&mut bytes);)*
                bytes.into()
            }
        }
    };
}

words! {
    /// The daemon's word, the only entry of its map.
    Pulse, 8 {
        /// Nothing is denied from then on, ns since boot. 0: nothing is denied.
        until_ns: u64,
    }
}

words! {
    /// Key of a port that is always open.
    Door, 20 {
        /// Address, IPv4 as mapped; zeros: any.
        address: [u8; 16],
        /// Port.
        port: u16,
        /// Named padding, 0.
        pad: u16,
    }
}

words! {
    /// Key of a process; a reused id has another start.
    ProcessId, 16 {
        /// Start, ns since boot.
        start_ns: u64,
        /// Thread-group id.
        pid: u32,
        /// Named padding, 0.
        pad: u32,
    }
}

words! {
    /// Key of a stop.
    StopKey, 24 {
        /// Address, IPv4 as mapped.
        address: [u8; 16],
        /// Class of the user.
        user: u32,
        /// Class of the process.
        process: u32,
    }
}

words! {
    /// What is done with a call.
    Stop, 16 {
        /// It holds until then, ns since boot.
        until_ns: u64,
        /// The daemon's number of the rule.
        rule: u32,
        /// `STOP_*`.
        action: u32,
    }
}

/// Port of QUIC, the only one at which datagrams are looked at.
pub const QUIC_PORT: u16 = 443;
