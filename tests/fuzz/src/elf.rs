//! ELF files that processes map.

use std::{fs::File, io::Write};

use observer::stacks::examine;
use rustix::fs::{MemfdFlags, memfd_create};

/// Takes `data` as a library.
pub fn run(data: &[u8]) {
    let Ok(fd) = memfd_create("fuzz", MemfdFlags::CLOEXEC) else {
        return;
    };
    let mut file = File::from(fd);
    if file.write_all(data).is_ok() {
        let _ = examine(&file);
    }
}
