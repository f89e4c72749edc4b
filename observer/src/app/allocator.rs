//! Memory that the allocator of glibc keeps.
//!
//! At start the daemon reads the kernel's type information and compiles its rules: tens of MiB that are free a moment
//! later. After the first large block that is freed, glibc takes blocks of that size from its heap, which shrinks
//! only at its end, and so keeps them for good (mallopt(3), M_MMAP_THRESHOLD). A fixed threshold gives them back.

/// Blocks from this size on are mapped and unmapped one by one, bytes.
const MAPPED_FROM: i32 = 128 * 1024;

/// Sets the limits; to be called before anything large is allocated. Does nothing without glibc.
pub(super) fn keep_little() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes two integers and may be called at any time; a value that it refuses changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
        libc::mallopt(libc::M_TRIM_THRESHOLD, MAPPED_FROM);
    }
}

/// Gives back what was freed since. Takes milliseconds: for the end of the start, not for every day.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes the locks that it needs and touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}
