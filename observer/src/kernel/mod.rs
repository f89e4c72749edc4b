//! Kernel stage (shell): loads the programs, finds the TLS libraries of the host, attaches to them and reads the
//! records.

pub mod attach;
pub mod btf;
pub mod clock;
pub mod cut;
pub mod discover;
pub mod enforce;
mod examine;
pub mod file_id;
mod host;
pub mod inventory;
pub mod known;
mod links;
pub mod load;
pub mod maps;
mod multi;
pub mod probes;
pub mod procfs;
pub mod records;
pub mod refusal;
pub mod signs;
mod stdio;
pub mod survey;
mod sys;
pub mod tables;
pub mod tracefs;
pub mod written;
