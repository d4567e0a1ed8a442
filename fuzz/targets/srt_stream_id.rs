#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| srt::fuzz::stream_id(data));
