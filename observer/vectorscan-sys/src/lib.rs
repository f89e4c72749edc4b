//! What `vectorscan-rs` needs of the C interface of vectorscan 5.4 (`hs_common.h`, `hs_compile.h`, `hs_runtime.h`;
//! <https://intel.github.io/hyperscan/dev-reference/api_files.html>). All of it may be called from any thread as long as
//! no two calls share a scratch.

#![expect(non_camel_case_types, reason = "the names of the C headers")]
#![expect(missing_docs, reason = "documented by the headers that they mirror")]

use std::ffi::{c_char, c_int, c_uint, c_ulonglong, c_void};
use std::marker::{PhantomData, PhantomPinned};

/// Result of nearly every call: [`HS_SUCCESS`] or one of the negative numbers below.
pub type hs_error_t = c_int;

pub const HS_SUCCESS: c_uint = 0;
pub const HS_INVALID: hs_error_t = -1;
pub const HS_NOMEM: hs_error_t = -2;
pub const HS_SCAN_TERMINATED: hs_error_t = -3;
pub const HS_COMPILER_ERROR: hs_error_t = -4;
pub const HS_DB_VERSION_ERROR: hs_error_t = -5;
pub const HS_DB_PLATFORM_ERROR: hs_error_t = -6;
pub const HS_DB_MODE_ERROR: hs_error_t = -7;
pub const HS_BAD_ALIGN: hs_error_t = -8;
pub const HS_BAD_ALLOC: hs_error_t = -9;
pub const HS_SCRATCH_IN_USE: hs_error_t = -10;
pub const HS_ARCH_ERROR: hs_error_t = -11;
pub const HS_INSUFFICIENT_SPACE: hs_error_t = -12;
pub const HS_UNKNOWN_ERROR: hs_error_t = -13;

pub const HS_FLAG_CASELESS: c_uint = 1;
pub const HS_FLAG_DOTALL: c_uint = 1 << 1;
pub const HS_FLAG_MULTILINE: c_uint = 1 << 2;
pub const HS_FLAG_SINGLEMATCH: c_uint = 1 << 3;
pub const HS_FLAG_ALLOWEMPTY: c_uint = 1 << 4;
pub const HS_FLAG_UTF8: c_uint = 1 << 5;
pub const HS_FLAG_UCP: c_uint = 1 << 6;
pub const HS_FLAG_PREFILTER: c_uint = 1 << 7;
pub const HS_FLAG_SOM_LEFTMOST: c_uint = 1 << 8;
pub const HS_FLAG_COMBINATION: c_uint = 1 << 9;
pub const HS_FLAG_QUIET: c_uint = 1 << 10;

pub const HS_MODE_BLOCK: c_uint = 1;
pub const HS_MODE_STREAM: c_uint = 2;
pub const HS_MODE_VECTORED: c_uint = 4;
pub const HS_MODE_SOM_HORIZON_LARGE: c_uint = 1 << 24;
pub const HS_MODE_SOM_HORIZON_MEDIUM: c_uint = 1 << 25;
pub const HS_MODE_SOM_HORIZON_SMALL: c_uint = 1 << 26;

/// Declares types that only the library looks into.
macro_rules! opaque {
    ($($name:ident),*) => {$(
        #[repr(C)]
        #[derive(Debug)]
        pub struct $name {
            inside: [u8; 0],
            pinned: PhantomData<(*mut u8, PhantomPinned)>,
        }
    )*};
}

opaque!(
    hs_database_t,
    hs_scratch_t,
    hs_stream_t,
    hs_platform_info_t,
    hs_expr_ext_t
);

#[repr(C)]
#[derive(Debug)]
pub struct hs_compile_error_t {
    pub message: *mut c_char,
    /// Number of the wrong expression, negative when it is none of them.
    pub expression: c_int,
}

/// Called for each match: id, start, end, flags, context. Anything but 0 ends the scan.
pub type match_event_handler =
    Option<unsafe extern "C" fn(c_uint, c_ulonglong, c_ulonglong, c_uint, *mut c_void) -> c_int>;

unsafe extern "C" {
    pub fn hs_compile_ext_multi(
        expressions: *const *const c_char,
        flags: *const c_uint,
        ids: *const c_uint,
        ext: *const *const hs_expr_ext_t,
        elements: c_uint,
        mode: c_uint,
        platform: *const hs_platform_info_t,
        db: *mut *mut hs_database_t,
        error: *mut *mut hs_compile_error_t,
    ) -> hs_error_t;
    pub fn hs_free_compile_error(error: *mut hs_compile_error_t) -> hs_error_t;

    pub fn hs_free_database(db: *mut hs_database_t) -> hs_error_t;
    pub fn hs_database_size(db: *const hs_database_t, size: *mut usize) -> hs_error_t;
    pub fn hs_stream_size(db: *const hs_database_t, size: *mut usize) -> hs_error_t;
    pub fn hs_serialize_database(
        db: *const hs_database_t,
        bytes: *mut *mut c_char,
        length: *mut usize,
    ) -> hs_error_t;
    pub fn hs_deserialize_database(
        bytes: *const c_char,
        length: usize,
        db: *mut *mut hs_database_t,
    ) -> hs_error_t;
    pub fn hs_serialized_database_size(bytes: *const c_char, length: usize, size: *mut usize) -> hs_error_t;

    pub fn hs_alloc_scratch(db: *const hs_database_t, scratch: *mut *mut hs_scratch_t) -> hs_error_t;
    pub fn hs_clone_scratch(from: *const hs_scratch_t, to: *mut *mut hs_scratch_t) -> hs_error_t;
    pub fn hs_scratch_size(scratch: *const hs_scratch_t, size: *mut usize) -> hs_error_t;
    pub fn hs_free_scratch(scratch: *mut hs_scratch_t) -> hs_error_t;

    pub fn hs_scan(
        db: *const hs_database_t,
        data: *const c_char,
        length: c_uint,
        flags: c_uint,
        scratch: *mut hs_scratch_t,
        on_event: match_event_handler,
        context: *mut c_void,
    ) -> hs_error_t;

    pub fn hs_open_stream(
        db: *const hs_database_t,
        flags: c_uint,
        stream: *mut *mut hs_stream_t,
    ) -> hs_error_t;
    pub fn hs_scan_stream(
        stream: *mut hs_stream_t,
        data: *const c_char,
        length: c_uint,
        flags: c_uint,
        scratch: *mut hs_scratch_t,
        on_event: match_event_handler,
        context: *mut c_void,
    ) -> hs_error_t;
    pub fn hs_close_stream(
        stream: *mut hs_stream_t,
        scratch: *mut hs_scratch_t,
        on_event: match_event_handler,
        context: *mut c_void,
    ) -> hs_error_t;
}
