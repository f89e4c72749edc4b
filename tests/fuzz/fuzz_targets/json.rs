#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("json"), |data: &[u8]| observer_fuzz::json::run(data));
