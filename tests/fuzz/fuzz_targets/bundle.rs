#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("bundle"), |data: &[u8]| observer_fuzz::bundle::run(data));
