//! The wire contract between Observer's kernel programs and its daemon.
//!
//! What crosses the boundary is integers and byte arrays only: no bool, no enum with data, no padding. Records are
//! read from bytes field by field, never transmuted, since the bytes come from outside the daemon's memory safety.
#![no_std]

pub mod counters;
pub mod decode;
pub mod enforce;
pub mod maps;
pub mod wire;
