#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("encoding"), |data: &[u8]| observer_fuzz::encoding::run(data));
