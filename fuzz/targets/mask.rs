//! Masking: it never panics, twice is once, and JSON stays JSON.
#![no_main]

use bartizan_detect::pii::{self, Data};
use bartizan_detect::secrets::{Key, find, mask};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let key = Key::new(&[1; 32]);
    for secret in find(&text) {
        assert!(text.get(secret.place.clone()).is_some(), "{secret:?}");
    }
    let masked = mask(&text, &key);
    if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
        assert!(serde_json::from_str::<serde_json::Value>(&masked).is_ok(), "{masked}");
    }
    let _ = pii::mask(&masked, Data::ALL, &key);
});
