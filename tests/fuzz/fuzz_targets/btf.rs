#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("btf"), |data: &[u8]| observer_fuzz::btf::run(data));
