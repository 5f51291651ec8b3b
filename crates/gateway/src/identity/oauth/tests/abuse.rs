//! What strangers, users and a compromised key could do to others, and cannot.

use super::*;

fn told(fake: &Fake) -> Value {
    with(&fake.claims(), json!({"active": true, "iss": null}))
}

async fn waits_for(until: impl Fn() -> bool) {
    for _ in 0..500 {
        if until() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not happen");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_behind() {
    let fake = Fake::start().await;
    fake.say("/introspection", Says::Nothing);
    let oauth = fake.oauth();
    let print = print_of("opaque");
    let ask = || {
        let oauth = oauth.clone();
        tokio::spawn(async move { outcome(&oauth, "opaque", NOW).await })
    };
    let (first, second) = (ask(), ask());
    waits_for(|| fake.asked() == 1).await;
    first.abort();
    assert!(first.await.expect_err("gone").is_cancelled());
    assert!(oauth.questions.is_open(&print), "another waits");
    second.abort();
    assert!(second.await.expect_err("gone").is_cancelled());
    assert!(!oauth.questions.is_open(&print), "nobody waits");
    fake.say("/introspection", Says::Json(told(&fake)));
    assert_eq!(outcome(&oauth, "opaque", NOW).await, "good", "and it can be asked about again");
    assert!(!oauth.questions.is_open(&print), "an answer closes it, too");
}

#[tokio::test]
async fn tokens_that_were_never_seen_do_not_starve_those_that_were() {
    let fake = Fake::start().await;
    fake.say("/introspection", Says::Json(told(&fake)));
    let oauth = fake.oauth();
    let caller = oauth.resolve(("opaque", None), NOW).await.expect("good");
    fake.say("/introspection", Says::Nothing);
    let strangers: Vec<_> = (0..8)
        .map(|number| {
            let oauth = oauth.clone();
            tokio::spawn(async move { outcome(&oauth, &format!("made-up-{number}"), NOW).await })
        })
        .collect();
    waits_for(|| fake.asked() == 9).await;
    fake.say("/introspection", Says::Json(told(&fake)));
    assert_eq!(outcome(&oauth, "one-more", NOW).await, "identity.unavailable");
    assert_eq!(fake.asked(), 9, "nobody is asked about one more");
    assert_eq!(outcome(&oauth, "opaque", NOW + 30_000).await, "good", "known ones have places of their own");
    assert!(oauth.still(&caller, NOW + 30_000).is_ok());
    strangers.iter().for_each(tokio::task::JoinHandle::abort);
    for stranger in strangers {
        assert!(stranger.await.expect_err("gone").is_cancelled());
    }
    assert_eq!(outcome(&oauth, "one-more", NOW).await, "good", "the places are free again");
}

#[tokio::test]
async fn an_issuer_that_takes_all_its_keys_back_is_believed() {
    let ec = Pair::ec();
    for (what, keys, expected) in [
        ("none", json!({"keys": []}), "identity.revoked"),
        ("another use", json!({"keys": [with(&ec.jwk("one"), json!({"use": "enc"}))]}), "identity.revoked"),
        ("another algorithm", json!({"keys": [with(&ec.jwk("one"), json!({"alg": "ES384"}))]}), "identity.revoked"),
        ("no set", json!({"error": "later"}), "good"),
        ("no list", json!({"keys": null}), "good"),
    ] {
        let fake = Fake::start().await;
        fake.keys(&[ec.jwk("one")]);
        let oauth = fake.oauth();
        let token = ec.token(&header(), &with(&fake.claims(), json!({"exp": NOW_S + 10_000})));
        let caller = oauth.resolve((&token, None), NOW).await.expect("good");
        fake.say("/jwks", Says::Json(keys));
        let other = ec.token(&with(&header(), json!({"kid": "unknown"})), &fake.claims());
        assert_eq!(outcome(&oauth, &other, NOW + 10_000).await, "identity.invalid", "{what}: fetches again");
        let still = oauth.still(&caller, NOW + 10_000).map_or_else(|refusal| refusal.reason.code(), |()| "good");
        assert_eq!(still, expected, "{what}");
        let again = if expected == "good" { "good" } else { "identity.invalid" };
        assert_eq!(outcome(&oauth, &token, NOW + 10_000).await, again, "{what}");
    }
}

#[tokio::test]
async fn what_the_issuer_says_is_no_access_token_is_not_taken() {
    let fake = Fake::start().await;
    let oauth = fake.oauth();
    for (number, (members, expected)) in [
        (json!({"token_use": "access_token", "token_type": "Bearer"}), "good"),
        (json!({"token_type": "bearer"}), "good"),
        (json!({"token_type": "ACCESS_TOKEN"}), "good"),
        (json!({"token_type": null}), "good"),
        (json!({"token_use": "refresh_token", "token_type": "Bearer"}), "identity.invalid"),
        (json!({"token_use": "id_token"}), "identity.invalid"),
        (json!({"token_use": ["access_token"]}), "identity.invalid"),
        (json!({"token_use": ""}), "identity.invalid"),
        (json!({"token_type": "refresh_token"}), "identity.invalid"),
        (json!({"token_type": "DPoP"}), "identity.invalid"),
        (json!({"token_type": "N_A"}), "identity.invalid"),
        (json!({"token_type": 1}), "identity.invalid"),
    ]
    .into_iter()
    .enumerate()
    {
        fake.say("/introspection", Says::Json(with(&told(&fake), members.clone())));
        assert_eq!(outcome(&oauth, &format!("opaque-{number}"), NOW).await, expected, "{members}");
    }
}

#[tokio::test]
async fn a_program_does_not_pass_for_a_user_of_its_name() {
    let fake = Fake::start().await;
    let ec = Pair::ec();
    fake.keys(&[ec.jwk("one")]);
    let oauth = fake.oauth();
    fake.say("/introspection", Says::Json(with(&told(&fake), json!({"sub": null, "client_id": "alice"}))));
    let program = oauth.resolve(("program", None), NOW).await.expect("good");
    assert_eq!(&**program.principal(), format!("oauth:{}#client:alice", fake.address));
    fake.say("/introspection", Says::Json(told(&fake)));
    assert_ne!(oauth.resolve(("user", None), NOW).await.expect("good").principal(), program.principal());
    let posing = json!({"sub": "client:alice"});
    fake.say("/introspection", Says::Json(with(&told(&fake), posing.clone())));
    assert_eq!(outcome(&oauth, "posing", NOW).await, "identity.invalid");
    assert_eq!(outcome(&oauth, &ec.token(&header(), &with(&fake.claims(), posing)), NOW).await, "identity.invalid");
}

#[tokio::test]
async fn a_user_with_many_tokens_ends_nobody_elses_session() {
    let fake = Fake::start().await;
    let ec = Pair::ec();
    fake.keys(&[ec.jwk("one")]);
    let oauth = fake.oauth();
    let of = |members: Value| ec.token(&header(), &with(&fake.claims(), members));
    let bob = oauth.resolve((&of(json!({"sub": "bob"})), None), NOW).await.expect("good");
    for number in 0..100 {
        assert_eq!(outcome(&oauth, &of(json!({"jti": number.to_string(), "client_id": format!("app-{}", number % 7)})), NOW).await, "good");
    }
    let tokens = [0, 1, 2, 3, 4, 5, 6].map(|app| {
        let badge = oauth.config.steps.clone();
        let badge = bartizan_monitor::case::Badge { application: Some(format!("app-{app}")), steps: badge, ..Default::default() };
        let caller = Caller::assertion(&format!("oauth:{}#alice", fake.address), Means::OAuth, bartizan_monitor::case::Reach::all());
        held(&oauth.known).of(&caller.with_badge(badge)).len()
    });
    assert_eq!(tokens.iter().sum::<usize>(), 16, "{tokens:?}");
    assert!(oauth.still(&bob, NOW).is_ok());
}
