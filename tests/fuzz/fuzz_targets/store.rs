#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("store"), |data: &[u8]| observer_fuzz::store::run(data));
