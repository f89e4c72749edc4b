#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("loaders"), |data: &[u8]| observer_fuzz::loaders::run(data));
