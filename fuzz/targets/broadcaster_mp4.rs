#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| broadcaster::fuzz::mp4(data));
