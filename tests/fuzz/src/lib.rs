//! What the fuzzer calls: one module for each decoder, and one for the whole pipeline. Each `run` takes any bytes and
//! panics when something is wrong beyond a crash: the decoders must give the same for every split of their input, report
//! every exchange once and account for every byte.

pub mod btf;
pub mod bundle;
pub mod connection;
pub mod elf;
pub mod encoding;
pub mod frames;
mod go;
pub mod http1;
pub mod http2;
pub mod input;
pub mod json;
pub mod loaders;
mod machine;
pub mod names;
pub mod pipeline;
pub mod records;
mod ring;
pub mod rules;
pub mod scan;
pub mod seeds;
pub mod spool;
pub mod sse;
pub mod stdio;
pub mod store;
pub mod templates;
pub mod websocket;
