#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("stdio"), |data: &[u8]| observer_fuzz::stdio::run(data));
