#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("rules"), |data: &[u8]| observer_fuzz::rules::run(data));
