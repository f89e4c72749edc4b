//! Makes the kernel object available to `include_bytes!`. Where it was not built, an empty file takes its place, so that
//! a plain `cargo build` works without the BPF toolchain; the daemon says what is missing when it is asked to attach.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=OBSERVER_EBPF_OBJECT");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let object = env::var_os("OBSERVER_EBPF_OBJECT")
        .map_or_else(|| manifest.join("../.observer/observer-ebpf.o"), PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    let bytes = fs::read(&object).unwrap_or_default();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("observer-ebpf.o");
    fs::write(&out, bytes).expect("OUT_DIR can be written");
}
