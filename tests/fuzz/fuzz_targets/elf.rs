#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("elf"), |data: &[u8]| observer_fuzz::elf::run(data));
