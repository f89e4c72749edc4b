#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("frames"), |data: &[u8]| observer_fuzz::frames::run(data));
