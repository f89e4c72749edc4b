#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("http2"), |data: &[u8]| observer_fuzz::http2::run(data));
