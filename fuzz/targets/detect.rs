//! The detectors: they never panic, their excerpts are inert, and they say the same again.
#![no_main]

use bartizan_detect::{Facts, Options, Role, Setting, Text, neutralise, scan, scan_result, scan_text, scan_together};
use libfuzzer_sys::fuzz_target;

const ROLES: [Role; 5] = [Role::Name, Role::Title, Role::Prose, Role::Choice, Role::Sample];

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let texts: Vec<Text<'_>> = ROLES.iter().map(|role| Text { place: "/description", role: *role, text: &text }).collect();
    let facts = Facts { name: "delete_it", read_only: true, ..Facts::default() };
    let findings = scan(&texts, &facts);
    for finding in findings.iter().chain(&scan_text(&text, Setting::Content)).chain(&scan_together(&texts)) {
        assert!(finding.excerpt.bytes().all(|b| (b' '..=b'~').contains(&b)), "{finding:?}");
        assert!(finding.excerpt.len() <= 80 && finding.place.len() <= 160, "{finding:?}");
    }
    assert_eq!(findings, scan(&texts, &facts));
    for spotted in scan_result(&text, Options::default()).0 {
        assert!(text.get(spotted.span.clone()).is_some(), "{spotted:?}");
    }
    let inert = neutralise(&text);
    assert_eq!(neutralise(&inert), inert);
});
