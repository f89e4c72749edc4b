#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("spool"), |data: &[u8]| observer_fuzz::spool::run(data));
