//! The clock that the kernel programs stamp records with.

use rustix::time::{ClockId, clock_gettime};

/// CLOCK_BOOTTIME, ns.
pub fn boot_ns() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
