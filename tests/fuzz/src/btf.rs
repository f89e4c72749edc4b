//! Type information of the kernel.

use observer::kernel::btf::{Btf, kernel_offsets};

/// Takes `data` as a BTF blob.
pub fn run(data: &[u8]) {
    if let Ok(btf) = Btf::parse(data) {
        let _ = kernel_offsets(&btf);
    }
}
