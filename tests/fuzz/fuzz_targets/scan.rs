#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::scan::warm_up("scan"), |data: &[u8]| observer_fuzz::scan::run(data));
