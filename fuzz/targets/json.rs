//! The strict reader: it never panics, and what it accepts means the same to everybody.
#![no_main]

use bartizan_monitor::wire::canonical;
use bartizan_monitor::wire::json::{Json, Kind, View};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(json) = Json::parse(Bytes::copy_from_slice(data)) else {
        return;
    };
    walk(json.view());
    // Whatever the strict reader takes, a lenient one takes as well. (It refuses numbers that do not fit
    // a float; that is a limit of its own.)
    if let Err(e) = serde_json::from_slice::<serde_json::Value>(data) {
        assert!(e.to_string().contains("out of range") || e.to_string().contains("recursion"), "{e}");
    }
    // Printing and reading again changes nothing, and a canonical text is its own canonical text.
    let again = Json::parse(Bytes::copy_from_slice(json.view().text().as_bytes()));
    assert_eq!(again.map(|j| canonical::text(&j)).ok(), Some(canonical::text(&json)));
    // (A number like 30e18 is read, but written out as an integer it is beyond what the reader takes.)
    let text = canonical::text(&json);
    if let Ok(canonical) = Json::parse(Bytes::from(text.clone())) {
        assert_eq!(canonical::text(&canonical), text);
    }
});

/// Looks at everything there is to look at.
fn walk(view: View<'_>) {
    let _ = (view.as_str(), view.as_bool(), view.as_i64(), view.is_null());
    match view.kind() {
        Kind::Object => {
            for (key, value) in view.members() {
                assert!(view.get(&key).is_some());
                walk(value);
            }
        }
        Kind::Array => view.items().for_each(walk),
        _ => {}
    }
}
