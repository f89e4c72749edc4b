#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("http1"), |data: &[u8]| observer_fuzz::http1::run(data));
