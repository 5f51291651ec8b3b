//! Masking: what is planted does not come out, in any carrier; masking twice is masking once; JSON stays JSON.

use bartizan_detect::pii::{self, Data};
use bartizan_detect::secrets::{Key, find, mask};
use proptest::prelude::*;

fn planted() -> impl Strategy<Value = String> {
    prop_oneof![
        "ghp_[A-Za-z0-9]{36}",
        "glpat-[A-Za-z0-9_-]{20}",
        "AKIA[A-Z2-7]{16}",
        "npm_[A-Za-z0-9]{36}",
        "xoxb-[0-9]{11}-[0-9]{12}-[A-Za-z0-9]{24}",
        "sk-ant-api03-[A-Za-z0-9_-]{93}AA",
        "hf_[A-Za-z]{34}",
        "AGE-SECRET-KEY-1[A-Z0-9]{58}",
    ]
    // What says of itself that it is an example is none.
    .prop_filter("no example", |value| !find(value).is_empty())
}

proptest! {
    #[test]
    fn nothing_planted_survives(secret in planted(), before in "[ -~\\n]{0,40}", after in "[ -~\\n]{0,40}") {
        let text = format!("{before} {secret} {after}");
        let masked = mask(&text, &Key::new(&[1; 32])).into_owned();
        prop_assert!(!masked.contains(&secret), "{masked}");
    }

    #[test]
    fn json_stays_json(secret in planted(), text in ".{0,60}") {
        let json = serde_json::json!({ "password": secret, "note": text, "nested": serde_json::json!({ "token": secret }).to_string() }).to_string();
        let masked = mask(&json, &Key::new(&[1; 32])).into_owned();
        prop_assert!(masked.parse::<serde_json::Value>().is_ok(), "{masked}");
        prop_assert!(!masked.contains(&secret));
    }

    #[test]
    fn twice_is_once(text in "(?s).{0,200}", secret in planted()) {
        for text in [format!("{text}{secret}"), format!("password={secret}{text}"), text] {
            let key = Key::new(&[2; 32]);
            let once = mask(&text, &key).into_owned();
            prop_assert_eq!(mask(&once, &key).into_owned(), once.clone());
            let data = pii::mask(&once, Data::ALL, &key).into_owned();
            prop_assert_eq!(pii::mask(&data, Data::ALL, &key).into_owned(), data.clone());
        }
    }
}
