#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::scan::warm_up("pipeline"), |data: &[u8]| observer_fuzz::pipeline::run(data));
