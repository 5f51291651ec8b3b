//! What looks like a credential. Configuration holds references, never values: a value that looks
//! like one is an error, and it is blanked in every text that is shown about it.

use std::ops::Range;

/// How well-known credentials begin, how many characters follow at least, and whose they are.
const PREFIXES: &[(&str, usize, &str)] = &[
    ("ghp_", 16, "a GitHub token"),
    ("gho_", 16, "a GitHub token"),
    ("ghu_", 16, "a GitHub token"),
    ("ghs_", 16, "a GitHub token"),
    ("ghr_", 16, "a GitHub token"),
    ("github_pat_", 16, "a GitHub token"),
    ("glpat-", 16, "a GitLab token"),
    ("sk_live_", 10, "a Stripe key"),
    ("sk_test_", 10, "a Stripe key"),
    ("rk_live_", 10, "a Stripe key"),
    ("sk-", 20, "a model provider's key"),
    ("xoxb-", 8, "a Slack token"),
    ("xoxp-", 8, "a Slack token"),
    ("xoxa-", 8, "a Slack token"),
    ("xoxr-", 8, "a Slack token"),
    ("xoxs-", 8, "a Slack token"),
    ("xapp-", 8, "a Slack token"),
    ("AKIA", 16, "an AWS access key"),
    ("ASIA", 16, "an AWS access key"),
    ("AIza", 30, "a Google API key"),
    ("ya29.", 16, "a Google access token"),
    ("npm_", 30, "an npm token"),
    ("pypi-", 30, "a PyPI token"),
    ("hf_", 20, "a Hugging Face token"),
    ("dop_v1_", 30, "a DigitalOcean token"),
    ("shpat_", 20, "a Shopify token"),
    ("SG.", 30, "a SendGrid key"),
    ("lin_api_", 20, "a Linear key"),
    ("ntn_", 20, "a Notion token"),
    ("figd_", 20, "a Figma token"),
    ("bzt_", 20, "a Bartizan token"),
];

/// From how many characters on a word may be too random to be one.
const RANDOM_FROM: usize = 32;

/// What a value looks like, when it looks like a credential. References in it do not count.
pub(super) fn looks_like(value: &str) -> Option<&'static str> {
    let own = without_references(value);
    if own.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    if has_password(&own) {
        return Some("a password in a URL");
    }
    words(&own).find_map(|word| own.get(word).and_then(known))
}

/// Whether a variable or header of this name is made for credentials.
pub(super) fn is_named_like(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(['_', '-', '.']).collect();
    if matches!(words.last(), Some(&("file" | "path" | "dir" | "url" | "uri" | "name" | "id"))) {
        return false;
    }
    let plain =
        ["token", "secret", "password", "passwd", "passphrase", "apikey", "authorization", "credential", "credentials", "cookie", "pat"];
    let keys = ["api", "access", "private", "secret", "signing", "encryption", "auth", "account", "service"];
    words.iter().any(|word| plain.contains(word)) || words.windows(2).any(|pair| matches!(pair, [of, "key"] if keys.contains(of)))
}

/// Whether a value could be a credential at all: not empty, not a switch, not a short number.
pub(super) fn could_be(value: &str) -> bool {
    let switch = matches!(value.to_ascii_lowercase().as_str(), "" | "true" | "false" | "yes" | "no" | "on" | "off" | "none" | "null");
    let number = value.len() < 8 && value.bytes().all(|byte| byte.is_ascii_digit());
    !switch && !number
}

/// A text in which `spans`, and whatever else looks like a credential, is blanked. Offsets stay.
pub(super) fn blanked(source: &str, spans: &[Range<usize>]) -> String {
    let random = words(source).filter(|word| source.get(word.clone()).and_then(known).is_some());
    let all: Vec<Range<usize>> = spans.iter().cloned().chain(random).collect();
    let blank = |(at, symbol): (usize, char)| -> String {
        let covered = symbol != '\n' && all.iter().any(|span| span.contains(&at));
        if covered { "*".repeat(symbol.len_utf8()) } else { symbol.to_string() }
    };
    source.char_indices().map(blank).collect()
}

fn without_references(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}

fn has_password(value: &str) -> bool {
    value.match_indices("://").any(|(at, mark)| {
        let authority = value.get(at + mark.len()..).and_then(|rest| rest.split(['/', '?', '#', ' ']).next()).unwrap_or_default();
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
    })
}

fn is_word(symbol: char) -> bool {
    symbol.is_ascii_alphanumeric() || matches!(symbol, '_' | '-' | '.' | '+')
}

/// Where the runs of characters stand that credentials are made of.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let place = |word: &str| {
        let start = (word.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        start..start.saturating_add(word.len())
    };
    text.split(|symbol| !is_word(symbol)).filter(|word| !word.is_empty()).map(place).filter(|word| !is_digest(text, word))
}

/// Whether a word is a digest that says so, as the name of an image ends in one: random, and nobody's secret.
fn is_digest(text: &str, word: &Range<usize>) -> bool {
    let is_hex = |word: &str| word.len() == 64 && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    text.get(..word.start).is_some_and(|before| before.ends_with("sha256:")) && text.get(word.clone()).is_some_and(is_hex)
}

fn known(word: &str) -> Option<&'static str> {
    let fits = |(prefix, least, _): &&(&str, usize, &str)| {
        word.strip_prefix(prefix).is_some_and(|rest| rest.len() >= *least && rest.bytes().any(|byte| byte.is_ascii_digit()))
    };
    let by_prefix = PREFIXES.iter().find(fits).map(|(_, _, whose)| *whose);
    let token = word.starts_with("eyJ") && word.matches('.').count() == 2;
    by_prefix.or_else(|| token.then_some("a JSON web token")).or_else(|| word.split('.').any(is_random).then_some("a random key"))
}

fn is_random(word: &str) -> bool {
    let any = |test: fn(&u8) -> bool| word.as_bytes().iter().any(test);
    if word.len() < RANDOM_FROM || !any(u8::is_ascii_digit) {
        return false;
    }
    let hexadecimal = word.bytes().all(|byte| byte.is_ascii_hexdigit()) && any(u8::is_ascii_alphabetic) && entropy(word) > 3.0;
    hexadecimal || (any(u8::is_ascii_uppercase) && any(u8::is_ascii_lowercase) && entropy(word) > 4.2)
}

/// Bits per character (Shannon): about 4 in names that people make up, 4.5 and more in random text.
fn entropy(word: &str) -> f64 {
    let mut counts = std::collections::BTreeMap::new();
    for byte in word.bytes() {
        *counts.entry(byte).or_insert(0_u32) += 1;
    }
    let length: f64 = counts.values().copied().map(f64::from).sum();
    counts.values().map(|count| f64::from(*count) / length).map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_recognised() {
        for value in [
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "Bearer sk-ant-REDACTED0123456789abcdef",
            "--token=xoxb-12345678-abcdef",
            "AKIAIOSFODNN7EXAMPLE",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
            "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY",
            "9f86d081884c7d659a2feaa0c55ad015",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "sha256:9f86d081884c7d659a2feaa0c55ad015",
            "ghcr.io/a/b@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "postgres://me:hunter2@db/x",
            "-----BEGIN RSA PRIVATE KEY-----\nx",
            "bzt_0123abcd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(looks_like(value).is_some(), "{value}");
        }
    }

    #[test]
    fn ordinary_values_are_not() {
        for value in [
            "",
            "production",
            "/usr/local/lib/python3.11/site-packages/mcp_server_git/__main__.py",
            "@modelcontextprotocol/server-filesystem@2026.7.10",
            "https://example.com/some/rather/long/path/with/Many-Words-And-Digits-2026",
            "550e8400-e29b-41d4-a716-446655440000",
            "my-very-long-service-name-in-production-europe-west-4",
            "postgres://me:${env:PW}@db/x",
            "Bearer ${env:UPSTREAM_AUTH}",
            "sk-learn",
            "ghcr.io/a/b:1.2@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "--allow-scripts=server-filesystem-with-a-long-name",
        ] {
            assert_eq!(looks_like(value), None, "{value}");
        }
    }

    #[test]
    fn names_say_what_a_value_is_for() {
        for name in ["API_KEY", "GITHUB_TOKEN", "Authorization", "X-Api-Key", "DB_PASSWORD", "AWS_SECRET_ACCESS_KEY"] {
            assert!(is_named_like(name), "{name}");
        }
        for name in ["PATH", "TOKENIZERS_PARALLELISM", "MONKEY", "API_KEY_FILE", "KEYBOARD", "AWS_ACCESS_KEY_ID", "SORT_KEY"] {
            assert!(!is_named_like(name), "{name}");
        }
        assert!(could_be("hunter2") && !could_be("4096") && !could_be("true") && !could_be(""));
    }

    #[test]
    fn blanked_texts_keep_their_offsets() {
        let source = "a = \"ghp_16C7e42F292c6912E7710c838347Ae178B4a\"\nb = \"hünter2\"\n";
        let at = source.find("hünter2").expect("there");
        let shown = blanked(source, std::slice::from_ref(&(at..at + "hünter2".len())));
        assert_eq!(shown.len(), source.len());
        assert!(!shown.contains("ghp_") && !shown.contains("nter2") && shown.contains("b = \"********\""), "{shown}");
    }
}
