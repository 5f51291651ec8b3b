//! How strongly an issuer says that it recognised somebody, and tokens that are bound to certificates.

use super::*;

#[tokio::test]
async fn a_bound_token_is_good_on_connections_of_its_certificate_only() {
    let fake = Fake::start().await;
    let ec = Pair::ec();
    fake.keys(&[ec.jwk("one")]);
    let print = |der: &[u8]| b64(digest(&SHA256, der).as_ref());
    let bound = json!({"cnf": {"x5t#S256": print(b"own")}});
    let token = ec.token(&header(), &with(&fake.claims(), bound.clone()));
    fake.say("/introspection", Says::Json(with(&fake.claims(), with(&bound, json!({"active": true})))));
    let oauth = fake.oauth();
    let (own, other) = (Certificate::read(b"own"), Certificate::read(b"other"));
    for token in [token.as_str(), "opaque"] {
        // Twice: what is remembered is as bound as what was just verified.
        for _ in 0..2 {
            for (what, shown, expected) in
                [("own", Some(&own), "good"), ("none", None, "identity.binding"), ("other", Some(&other), "identity.binding")]
            {
                let found = oauth.resolve((token, shown), NOW).await.map_or_else(|refusal| refusal.reason.code(), |_| "good");
                assert_eq!(found, expected, "{what} with {token}");
            }
        }
    }
    // The certificate is part of how the caller is known, and not of what the token says.
    let caller = oauth.resolve((&token, Some(&own)), NOW).await.expect("good");
    let strong = Strength { certificate: Some("spiffe://corp/agent".into()), ..caller.strength().clone() };
    assert!(oauth.still(&caller.clone().with_strength(strong), NOW).is_ok());
}

#[tokio::test]
async fn second_factors_and_logins_are_the_issuers_word() {
    let fake = Fake::start().await;
    let ec = Pair::ec();
    fake.keys(&[ec.jwk("one")]);
    let oauth = fake.oauth();
    let rows = [
        (json!({}), false, None),
        (json!({"amr": ["pwd"]}), false, None),
        (json!({"amr": ["pwd", "otp"]}), true, None),
        (json!({"amr": ["mfa"]}), true, None),
        (json!({"amr": ["hwk"]}), true, None),
        (json!({"amr": ["sc"]}), true, None),
        (json!({"amr": ["sms", "tel", "pin", "kba", "geo", "MFA", 1]}), false, None),
        (json!({"amr": "mfa"}), false, None),
        (json!({"acr": "urn:two"}), true, None),
        (json!({"acr": "urn:one"}), false, None),
        (json!({"acr": ["urn:two"]}), false, None),
        (json!({"auth_time": NOW_S - 60}), false, Some(NOW - 60_000)),
        (json!({"auth_time": NOW_S + 30}), false, Some(NOW + 30_000)),
    ];
    for (said, second_factor, logged_in_ms) in rows {
        let token = ec.token(&header(), &with(&fake.claims(), said.clone()));
        let caller = oauth.resolve((&token, None), NOW).await.unwrap_or_else(|refusal| panic!("{said}: {refusal:?}"));
        assert_eq!(*caller.strength(), Strength { certificate: None, second_factor, logged_in_ms }, "{said}");
        assert!(oauth.still(&caller, NOW).is_ok(), "{said}");
    }
}
