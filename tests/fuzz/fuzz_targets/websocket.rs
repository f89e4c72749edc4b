#![no_main]

libfuzzer_sys::fuzz_target!(init: observer_fuzz::seeds::write("websocket"), |data: &[u8]| observer_fuzz::websocket::run(data));
