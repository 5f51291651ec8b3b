use super::*;
use bartizan_monitor::case::Effect;
use bartizan_monitor::stages::party;
use std::path::PathBuf;
use std::time::Duration;

const NOW: u64 = 1_800_000_000_000;

struct Bench {
    dir: tempfile::TempDir,
    tokens: Tokens,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let tokens = Tokens::open(&dir.path().join("state")).expect("store");
        Self { dir, tokens }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn issue(&self, label: &str, lifetime_ms: u64) -> Issued {
        let wish = Wish {
            label: label.to_owned(),
            lifetime: Duration::from_millis(lifetime_ms),
            reach: Reach { servers: Some(Arc::new(["files".to_owned()].into())), most: Effect::Destructive },
            environment: None,
            purpose: Purpose::Client,
        };
        self.tokens.issue(&wish, NOW).expect("issued")
    }
}

fn write(path: &Path, content: &str) {
    files::replace(path, content.as_bytes(), files::Readers::Owner).expect("write");
}

fn header(text: &str) -> Vec<u8> {
    format!("Bearer {text}").into_bytes()
}

fn outcome(identity: &Identity, values: &[&[u8]], now_ms: u64) -> &'static str {
    identity.resolve(values, now_ms).map_or_else(|refusal| refusal.reason.code(), |_| "good")
}

#[test]
fn a_token_lets_its_holder_in() {
    let bench = Bench::new();
    let identity = Identity::open(&bench.state(), None);
    let issued = bench.issue("ci", 1000);
    let text = issued.text.expose();
    assert_eq!(text.len(), "bzt_".len() + 8 + 1 + 43);
    let caller = identity.resolve(&[&header(text)], NOW).expect("good");
    assert_eq!(&**caller.principal(), format!("token:ci#{}", issued.row.id));
    assert!(caller.may_see("files") && !caller.may_see("other"));
    assert!(identity.still(&caller, NOW).is_ok());
    assert_eq!(outcome(&identity, &[format!("bEaReR   {text} ").as_bytes()], NOW), "good");
}

#[test]
fn only_the_hash_is_stored_and_only_for_us() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    let issued = bench.issue("ci", 1000);
    let path = bench.state().join("tokens.json");
    let stored = files::read(&path, 1 << 20).expect("store");
    let secret = issued.text.expose().splitn(3, '_').nth(2).expect("secret");
    assert!(stored.contains("sha256:") && !stored.contains(secret));
    assert_eq!(path.metadata().expect("file").permissions().mode() & 0o777, 0o600);
    assert!(!format!("{issued:?}").contains(secret));
}

#[test]
fn who_has_no_good_token_stays_out() {
    let bench = Bench::new();
    let identity = Identity::open(&bench.state(), None);
    let issued = bench.issue("ci", 1000);
    let text = issued.text.expose().to_owned();
    let good = header(&text);
    assert_eq!(outcome(&identity, &[], NOW), "identity.missing");
    assert_eq!(outcome(&identity, &[&good, &good], NOW), "identity.invalid");
    let (front, _) = text.split_at(text.len() - 1);
    let other_id = text.replacen(&issued.row.id.to_string(), "00000000", 1);
    let padded = format!("{text}=");
    let upper = text.replacen("bzt_", "BZT_", 1);
    for wrong in ["", "x", front, &other_id, &padded, &upper, &format!("{front}~"), &format!("{text}{text}")] {
        assert_eq!(outcome(&identity, &[&header(wrong)], NOW), "identity.invalid", "{wrong}");
    }
    for wrong in
        [text.as_bytes(), b"Bearer", b"Basic eDp5", b"\xff\xfe", format!("Bearer\t{text}").as_bytes(), format!("Basic {text}").as_bytes()]
    {
        assert_eq!(outcome(&identity, &[wrong], NOW), "identity.invalid");
    }
    assert_eq!(outcome(&identity, &[&good], NOW), "good");
}

#[test]
fn a_token_expires_to_the_millisecond() {
    let bench = Bench::new();
    let issued = bench.issue("ci", 1000);
    let identity = Identity::open(&bench.state(), None);
    let good = header(issued.text.expose());
    let caller = identity.resolve(&[&good], NOW + 999).expect("the last moment");
    assert_eq!(outcome(&identity, &[&good], NOW + 1000), "identity.expired");
    assert!(identity.still(&caller, NOW + 999).is_ok());
    assert_eq!(identity.still(&caller, NOW + 1000).expect_err("over").reason.code(), "identity.expired");
    // Who does not know the secret does not learn that the token has expired.
    let guess = header(&format!("bzt_{}_{}", issued.row.id, "A".repeat(43)));
    assert_eq!(outcome(&identity, &[&guess], NOW + 1000), "identity.invalid");
}

#[test]
fn a_revoked_token_is_out_on_the_next_message() {
    let bench = Bench::new();
    let identity = Identity::open(&bench.state(), None);
    let (one, two, other) = (bench.issue("ci", 1000), bench.issue("ci", 1000), bench.issue("cd", 1000));
    let caller = identity.resolve(&[&header(one.text.expose())], NOW).expect("good");
    assert_eq!(bench.tokens.revoke(&one.row.id.to_string(), NOW).expect("one").len(), 1);
    assert_eq!(identity.still(&caller, NOW).expect_err("revoked").reason.code(), "identity.revoked");
    assert_eq!(outcome(&identity, &[&header(one.text.expose())], NOW), "identity.revoked");
    assert_eq!(outcome(&identity, &[&header(two.text.expose())], NOW), "good");
    assert_eq!(bench.tokens.revoke("ci", NOW + 1).expect("label").len(), 2);
    assert_eq!(outcome(&identity, &[&header(two.text.expose())], NOW), "identity.revoked");
    assert_eq!(outcome(&identity, &[&header(other.text.expose())], NOW), "good");
    assert!(matches!(bench.tokens.revoke("nobody", NOW), Err(StoreError::Unknown(_))));
    assert_eq!(bench.tokens.list().expect("list").iter().find(|row| row.id == one.row.id).expect("one").revoked_ms, Some(NOW));
}

#[test]
fn a_removed_store_ends_running_sessions() {
    let bench = Bench::new();
    let identity = Identity::open(&bench.state(), None);
    let caller = identity.resolve(&[&header(bench.issue("ci", 1000).text.expose())], NOW).expect("good");
    bench.dir.close().expect("removed");
    assert_eq!(identity.still(&caller, NOW).expect_err("gone").reason.code(), "identity.revoked");
}

#[test]
fn a_store_that_cannot_be_used_lets_nobody_in() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    let issued = bench.issue("ci", 1000);
    let (identity, good) = (Identity::open(&bench.state(), None), header(issued.text.expose()));
    let caller = identity.resolve(&[&good], NOW).expect("good");
    let path = bench.state().join("tokens.json");
    let whole = files::read(&path, 1 << 20).expect("store");
    for broken in [
        "",
        "{",
        "{\"version\":2,\"tokens\":[]}",
        &whole.replacen("\"version\"", "\"version\":1,\"version\"", 1),
        &whole.replacen("expires_ms", "expires", 1),
    ] {
        write(&path, broken);
        assert_eq!(outcome(&identity, &[&good], NOW), "identity.invalid", "{broken}");
        assert!(identity.still(&caller, NOW).is_err());
        let wish =
            Wish { label: "x".to_owned(), lifetime: Wish::LIFETIME, reach: Reach::all(), environment: None, purpose: Purpose::Client };
        assert!(bench.tokens.issue(&wish, NOW).is_err(), "and is not overwritten");
    }
    write(&path, &whole);
    assert_eq!(outcome(&identity, &[&good], NOW), "good");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    assert_eq!(outcome(&identity, &[&good], NOW), "identity.invalid");
}

#[test]
fn a_store_that_cannot_be_read_for_a_moment_is_read_again() {
    let bench = Bench::new();
    let issued = bench.issue("ci", 1000);
    let (identity, good) = (files::without_descriptors(|| Identity::open(&bench.state(), None)), header(issued.text.expose()));
    assert_eq!(files::without_descriptors(|| outcome(&identity, &[&good], NOW)), "identity.invalid");
    assert_eq!(outcome(&identity, &[&good], NOW), "good", "the file looks as it did");
}

#[test]
fn rotation_overlaps() {
    let bench = Bench::new();
    let identity = Identity::open(&bench.state(), None);
    let old = bench.issue("ci", 10_000);
    let new = bench.tokens.rotate(&old.row.id.to_string(), Duration::from_millis(500), NOW + 100).expect("rotated");
    assert_eq!((new.row.label.as_str(), new.row.expires_ms, &new.row.reach), ("ci", NOW + 10_100, &old.row.reach));
    let (old_header, new_header) = (header(old.text.expose()), header(new.text.expose()));
    assert_eq!(outcome(&identity, &[&old_header], NOW + 599), "good");
    assert_eq!(outcome(&identity, &[&old_header], NOW + 600), "identity.expired");
    assert_eq!(outcome(&identity, &[&new_header], NOW + 600), "good");
    assert!(matches!(bench.tokens.rotate(&old.row.id.to_string(), Duration::ZERO, NOW + 600), Err(StoreError::Over(_))));
    assert!(matches!(bench.tokens.rotate("ci", Duration::ZERO, NOW), Err(StoreError::Unknown(_))));
}

#[test]
fn wishes_are_judged() {
    let bench = Bench::new();
    for label in ["", "a b", "a#b", "deadbeef", "-x", "ä", &"x".repeat(65)] {
        let wish =
            Wish { label: label.to_owned(), lifetime: Wish::LIFETIME, reach: Reach::all(), environment: None, purpose: Purpose::Client };
        assert!(matches!(bench.tokens.issue(&wish, NOW), Err(StoreError::Label(_))), "{label}");
    }
    for lifetime in [Duration::ZERO, Duration::MAX] {
        let wish = Wish { label: "x".to_owned(), lifetime, reach: Reach::all(), environment: None, purpose: Purpose::Client };
        assert!(matches!(bench.tokens.issue(&wish, NOW), Err(StoreError::Lifetime)));
    }
}

#[test]
fn writers_do_not_lose_each_others_tokens() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let tokens = &bench.tokens;
            let wish = Wish {
                label: format!("w{writer}"),
                lifetime: Wish::LIFETIME,
                reach: Reach::all(),
                environment: None,
                purpose: Purpose::Client,
            };
            scope.spawn(move || (0..8).for_each(|_| drop(tokens.issue(&wish, NOW).expect("issued"))));
        }
    });
    assert_eq!(bench.tokens.list().expect("list").len(), 64);
}

#[test]
fn credentials_do_not_belong_into_addresses() {
    for query in ["access_token=x", "a=1&TOKEN=x", "q=bzt_00000000_x", "q=%62zt_00000000_x", "api_key="] {
        assert_eq!(misplaced(Some(query)).expect_err(query).reason.code(), "identity.invalid");
    }
    for query in [None, Some(""), Some("a=1&session=x")] {
        assert!(misplaced(query).is_ok());
    }
}

#[test]
fn the_local_user_has_a_name() {
    let users = "root:x:0:0:root:/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\nodd name:x:7:7::/:/\n";
    assert_eq!(user_name(users, 1000).as_deref(), Some("me"));
    assert_eq!(user_name(users, 7), None);
    assert_eq!(user_name(users, 10), None);
    let caller = local_user();
    assert!(caller.principal().starts_with("user:") && caller.means() == Means::LocalUser && caller.may_see("anything"));
    assert!(Identity::open(Path::new("/nonexistent"), None).still(&caller, NOW).is_ok());
}

#[test]
fn random_ids_differ() {
    let (one, two) = (random_id().expect("one"), random_id().expect("two"));
    assert!(one != two && one.len() == 43);
}

#[test]
fn a_token_is_good_in_its_own_environment_only() {
    let bench = Bench::new();
    let wish = |environment: Option<&str>| Wish {
        label: "x".to_owned(),
        lifetime: Wish::LIFETIME,
        reach: Reach::all(),
        environment: environment.map(ToOwned::to_owned),
        purpose: Purpose::Client,
    };
    let issue = |environment| bench.tokens.issue(&wish(environment), NOW).expect("issued");
    for (own, here, expected) in [
        (Some("dev"), Some("dev"), "good"),
        (Some("dev"), Some("prod"), "identity.invalid"),
        (None, Some("prod"), "identity.invalid"),
        (Some("dev"), None, "identity.invalid"),
    ] {
        let identity = Identity::open(&bench.state(), here);
        assert_eq!(outcome(&identity, &[&header(issue(own).text.expose())], NOW), expected, "{own:?} in {here:?}");
    }
    assert!(matches!(bench.tokens.issue(&wish(Some("two words")), NOW), Err(StoreError::Label(_))));
    let rotated = bench.tokens.rotate(&issue(Some("dev")).row.id.to_string(), Duration::ZERO, NOW).expect("rotated");
    assert_eq!(rotated.row.environment.as_deref(), Some("dev"));
}

#[test]
fn the_last_use_is_written_down() {
    let bench = Bench::new();
    let (issued, other) = (bench.issue("ci", 10_000), bench.issue("other", 10_000));
    let identity = Identity::open(&bench.state(), None);
    assert_eq!(outcome(&identity, &[&header(issued.text.expose())], NOW + 5), "good");
    assert!(bench.tokens.used().is_empty());
    identity.remember();
    // Another gateway over the same state knows of an earlier use; the later one counts.
    let second = Identity::open(&bench.state(), None);
    assert_eq!(outcome(&second, &[&header(issued.text.expose())], NOW + 1), "good");
    assert_eq!(outcome(&second, &[&header("bzt_00000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")], NOW), "identity.invalid");
    second.remember();
    assert_eq!(bench.tokens.used().into_iter().collect::<Vec<_>>(), [(issued.row.id.to_string(), NOW + 5)]);
    assert!(!bench.tokens.used().contains_key(&other.row.id.to_string()));
}

#[test]
fn a_message_whose_tokens_were_looked_at_for_it_looks_again_for_the_next() {
    let bench = Bench::new();
    let identity = Identity::open(&bench.state(), None);
    let issued = bench.issue("ci", 1000);
    for _ in 0..20 {
        let arrived = Stopwatch::start();
        let caller = identity.resolve(&[&header(issued.text.expose())], NOW).expect("good");
        assert!(identity.still_since(&caller, arrived, NOW).is_ok());
    }
    let caller = identity.resolve(&[&header(issued.text.expose())], NOW).expect("good");
    bench.tokens.revoke("ci", NOW).expect("revoked");
    let next = Stopwatch::start();
    assert_eq!(identity.still_since(&caller, next, NOW).expect_err("revoked").reason.code(), "identity.revoked");
}

/// Prints what a message with a token of this gateway costs, and what looking at a file does:
/// `cargo test --release -p bartizan-gateway --lib -- --ignored --nocapture measured`.
#[test]
#[ignore = "a measurement, for release builds"]
fn measured() {
    const TIMES: u32 = 100_000;
    let bench = Bench::new();
    let identity = Identity::open(&bench.state(), None);
    let issued = bench.issue("ci", 1000);
    let header = header(issued.text.expose());
    let each = |watch: Stopwatch| watch.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES);
    let watch = Stopwatch::start();
    for _ in 0..TIMES {
        let arrived = Stopwatch::start();
        let caller = identity.resolve(&[&header], NOW).expect("good");
        for _ in 0..2 {
            assert!(identity.still_since(&caller, arrived, NOW).is_ok());
        }
    }
    println!("a token of this gateway: {:.2} µs", each(watch));
    let watch = Stopwatch::start();
    (0..TIMES).for_each(|_| drop(identity.tokens.now()));
    println!("of which one look at the file: {:.2} µs", each(watch));
}

#[test]
fn who_answers_calls_nothing_and_who_calls_answers_nothing() {
    let bench = Bench::new();
    let identity = Identity::open(&bench.state(), None);
    let wish =
        |label: &str, purpose| Wish { label: label.to_owned(), lifetime: Wish::LIFETIME, reach: Reach::all(), environment: None, purpose };
    let same = ["user:ann".to_owned(), "token:bot#00000000".to_owned()];
    let ann = bench.tokens.issue(&wish("ann", Purpose::Approver(same.into())), NOW).expect("issued");
    let client = bench.tokens.issue(&wish("ci", Purpose::Client), NOW).expect("issued");
    assert_eq!(outcome(&identity, &[&header(ann.text.expose())], NOW), "identity.invalid");
    let approver = identity.approver(ann.text.expose(), NOW).expect("an approver");
    for (other, is) in
        [("user:ann", true), ("user:bob", false), ("token:ann#12345678", true), ("token:bot#12345678", true), ("token:annie#1", false)]
    {
        assert_eq!(person(&identity, approver.caller().principal()).contains(party(other)), is, "{other}");
    }
    let wrong = format!("{}x", ann.text.expose());
    for bad in [client.text.expose(), "", "bzt_", &wrong, "bzt_00000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(identity.approver(bad, NOW).expect_err(bad).reason.code(), "identity.invalid");
    }
    // Rotated it is still one, and revoked it is none.
    let next = bench.tokens.rotate(&ann.row.id.to_string(), Duration::from_secs(1), NOW).expect("rotated");
    let next_ann = identity.approver(next.text.expose(), NOW).expect("an approver");
    assert!(person(&identity, next_ann.caller().principal()).contains("user:ann"));
    bench.tokens.revoke("ann", NOW).expect("revoked");
    assert_eq!(identity.approver(next.text.expose(), NOW).expect_err("over").reason.code(), "identity.revoked");
    assert!(identity.still(approver.caller(), NOW).is_err());
}

fn person(identity: &Identity, principal: &str) -> BTreeSet<String> {
    identity.person(principal).expect("readable")
}

#[test]
fn who_is_the_same_as_somebody_is_whoever_that_one_is() {
    let bench = Bench::new();
    let identity = Identity::open(&bench.state(), None);
    let wish =
        |label: &str, purpose| Wish { label: label.to_owned(), lifetime: Wish::LIFETIME, reach: Reach::all(), environment: None, purpose };
    let says = |label: &str, same: &[&str]| {
        let same = same.iter().map(|name| (*name).to_owned()).collect();
        bench.tokens.issue(&wish(label, Purpose::Approver(same)), NOW).expect("issued")
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    says("a", &["token:b"]);
    says("b", &["token:c#00000000", "user:b"]);
    says("c", &[]);
    says("d", &["user:d"]);
    let three = set(&["token:a", "token:b", "token:c", "user:b"]);
    for one in ["token:a#11111111", "token:b", "token:c", "user:b"] {
        assert_eq!(person(&identity, one), three, "{one}");
    }
    assert_eq!(person(&identity, "user:d"), set(&["token:d", "user:d"]));
    assert_eq!(person(&identity, "user:x"), set(&["user:x"]));
    // The link in the middle may be a token for nothing else, and it may be old; revoked, it is taken back.
    let link = says("link", &["user:d", "user:b"]);
    assert!(person(&identity, "token:a").is_superset(&set(&["token:c", "token:d", "user:d"])));
    bench.tokens.revoke(&link.row.id.to_string(), NOW).expect("revoked");
    assert_eq!(person(&identity, "token:a"), three);
    // A client's token says nothing of persons.
    bench.tokens.issue(&wish("b", Purpose::Client), NOW).expect("issued");
    assert_eq!(person(&identity, "token:a"), three);
    write(&bench.state().join("tokens.json"), "{");
    assert!(identity.person("token:a").is_err(), "who is who is not known");
}
