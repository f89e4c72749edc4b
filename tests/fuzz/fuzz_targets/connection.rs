#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("connection"), |data: &[u8]| observer_fuzz::connection::run(data));
