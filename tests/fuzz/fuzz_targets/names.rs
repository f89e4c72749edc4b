#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("names"), |data: &[u8]| observer_fuzz::names::run(data));
