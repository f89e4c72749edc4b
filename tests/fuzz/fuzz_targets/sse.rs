#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("sse"), |data: &[u8]| observer_fuzz::sse::run(data));
