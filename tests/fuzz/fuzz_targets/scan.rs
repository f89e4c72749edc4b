#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("scan"), |data: &[u8]| observer_fuzz::scan::run(data));
