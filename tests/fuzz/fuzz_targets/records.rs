#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("records"), |data: &[u8]| observer_fuzz::records::run(data));
