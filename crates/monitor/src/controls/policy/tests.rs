use super::*;
use crate::lock::Pin;
use crate::case::{Badge, Effect, Labels, Means, Reach, Standing, Strength};
use crate::catalog::Definition;
use crate::wire::canonical::Digest;
use crate::wire::json::Json;
use bytes::Bytes;

fn json(text: &str) -> Json {
    Json::parse(Bytes::copy_from_slice(text.as_bytes())).expect("json")
}

fn control(text: &str) -> Policy {
    build(Config { text: Some(text.to_owned()), ..Config::default() }).expect(text)
}

fn item(name: &str, effect: Effect) -> Item {
    let definition = json(&format!(r#"{{"name":"{name}","inputSchema":{{}}}}"#));
    let pin =
        Pin::new(Definition { kind: Kind::Tool, name: name.to_owned(), digest: Digest::of_json(&definition), json: definition }, effect);
    Item { server: "files".into(), pin: Arc::new(pin), standing: Standing::Pinned, shadow: None }
}

fn caller() -> Caller {
    Caller::assertion("ann", Means::Token, Reach::all())
}

fn member(group: &str) -> Caller {
    caller().with_badge(Badge { groups: [group.to_owned()].into(), ..Badge::default() })
}

/// 2026-11-21T10:30:00Z, a Saturday.
const NOW: u64 = 1_795_257_000_000;

fn facts() -> Facts {
    Facts {
        id: 1,
        now_ms: NOW,
        session: "s".into(),
        transport: "http",
        peer: "10.1.2.3".parse().ok(),
        labels: Labels::default(),
        stops: Arc::default(),
        tally: Arc::default(),
        agreed: Arc::default(),
        once: crate::case::Once::default(),
        wires: None,
        cover: Default::default(),
    }
}

fn call(control: &Policy, caller: &Caller, item: &Item, arguments: &str) -> Result<(), (&'static str, String)> {
    judged(control, caller, item, (&facts(), arguments))
}

fn judged(control: &Policy, caller: &Caller, item: &Item, (facts, arguments): (&Facts, &str)) -> Result<(), (&'static str, String)> {
    let arguments = json(arguments);
    let moment = Moment { facts, arguments: Some(arguments.view()), uri: None };
    match control.judge(caller, (Subject::Item(item), "call"), moment).expect("no fault") {
        Verdict::Because(_) => Ok(()),
        Verdict::Deny(refusal) => Err((refusal.reason.code(), refusal.detail)),
        other => panic!("{other:?}"),
    }
}

fn code(result: Result<(), (&'static str, String)>) -> &'static str {
    result.map_or_else(|(code, _)| code, |()| "pass")
}

#[test]
fn rules_speak_of_servers_groups_and_single_tools() {
    let control = control(
        "permit (principal in Group::\"ops\", action, resource in Server::\"files\");
         permit (principal == Client::\"ann\", action, resource == Tool::\"files/a\");
         forbid (principal, action, resource in Server::\"other\");",
    );
    let (a, b) = (item("a", Effect::Read), item("b", Effect::Read));
    let elsewhere = Item { server: "other".into(), ..item("a", Effect::Read) };
    let bob = Caller::assertion("bob", Means::OAuth, Reach::all());
    for (caller, item, expected) in [
        (caller(), &a, "pass"),
        (caller(), &b, "policy.unpermitted"),
        (member("ops"), &b, "pass"),
        (member("dev"), &b, "policy.unpermitted"),
        (bob.clone(), &a, "policy.unpermitted"),
        (member("ops"), &elsewhere, "policy.forbid"),
    ] {
        assert_eq!(code(call(&control, &caller, item, "{}")), expected, "{caller:?} {}", item.pin.name);
        assert_eq!(control.hides(&caller, item), expected != "pass");
    }
}

#[test]
fn arguments_are_seen_by_name_and_by_pointer() {
    let control = |condition: &str| control(&format!("permit (principal, action == Action::\"call\", resource) when {{ {condition} }};"));
    let tool = item("a", Effect::Read);
    let arguments = r#"{"path":"/srv/a","n":7,"yes":true,"to":["x@a.example","y@b.example"],"o":{"p":"q","a/b":[1,{"z":"deep"}]},"f":1.5,"/x":"slash"}"#;
    for (condition, holds) in [
        ("context.arguments.hasTag(\"path\") && context.arguments.getTag(\"path\") like \"/srv/*\"", true),
        ("context.arguments.hasTag(\"path\") && context.arguments.getTag(\"path\") like \"/etc/*\"", false),
        ("context.arguments.hasTag(\"missing\")", false),
        ("context.arguments.hasTag(\"/o/p\") && context.arguments.getTag(\"/o/p\") == \"q\"", true),
        ("context.arguments.hasTag(\"/o/a~1b/1/z\") && context.arguments.getTag(\"/o/a~1b/1/z\") == \"deep\"", true),
        ("context.arguments.hasTag(\"/o/a~1b/01\")", false),
        ("context.arguments.hasTag(\"/~1x\") && context.arguments.getTag(\"/~1x\") == \"slash\"", true),
        ("context.arguments.hasTag(\"yes\") && context.arguments.getTag(\"yes\") == \"true\"", true),
        ("context.arguments.hasTag(\"f\") && context.arguments.getTag(\"f\") == \"1.5\"", true),
        ("context.numbers.hasTag(\"n\") && context.numbers.getTag(\"n\") < 8", true),
        ("context.numbers.hasTag(\"missing\")", false),
        ("context.lists.hasTag(\"missing\")", false),
        ("context.lists.hasTag(\"to\") && context.lists.getTag(\"to\").contains(\"x@a.example\")", true),
        ("context.lists.hasTag(\"to\") && [\"x@a.example\"].containsAll(context.lists.getTag(\"to\"))", false),
        ("context.lists.hasTag(\"/o/a~1b\") && context.lists.getTag(\"/o/a~1b\").contains(\"1\")", true),
    ] {
        let expected = if holds { "pass" } else { "policy.unpermitted" };
        assert_eq!(code(call(&control(condition), &caller(), &tool, arguments)), expected, "{condition}");
    }
}

/// Conditions of many shapes, each asked as it is, and behind one that no sieve answers and that always holds.
#[test]
fn rules_that_were_not_asked_would_not_have_matched() {
    let atoms = [
        r#"(context.arguments.hasTag("path") && context.arguments.getTag("path") like "/srv/*")"#,
        r#"(context.arguments.hasTag("path") && !(context.arguments.getTag("path") like "*.txt"))"#,
        r#"(context.arguments.hasTag("path") && context.arguments.getTag("path") == "/srv/a.txt")"#,
        r#"(context.arguments.hasTag("path") && ["/srv/a.txt", "true", "[1]"].contains(context.arguments.getTag("path")))"#,
        r#"(context.arguments.hasTag("/to/name") && context.arguments.getTag("/to/name") != "eve")"#,
        r#"(context.numbers.hasTag("amount") && context.numbers.getTag("amount") > 5)"#,
        r#"(context.numbers.hasTag("amount") && context.numbers.getTag("amount") != 5)"#,
        r#"(context.numbers.hasTag("amount") && 5 <= context.numbers.getTag("amount"))"#,
        r#"(context.lists.hasTag("tags") && context.lists.getTag("tags").contains("x"))"#,
        r#"(context.lists.hasTag("tags") && context.lists.getTag("tags").containsAny(["x", "1"]))"#,
        r#"(context.arguments.hasTag("path") && (if context.transport == "http" then context.arguments.getTag("path") == "true" else true))"#,
        r#"context.labels.contains("private")"#,
    ];
    let pairs = || atoms.iter().flat_map(|one| atoms.iter().filter(move |other| *other != one).map(move |other| (one, other)));
    let mut conditions: Vec<String> = atoms.iter().flat_map(|atom| [(*atom).to_owned(), format!("!{atom}")]).collect();
    conditions.push(r#"context.arguments.hasTag("path")"#.to_owned());
    conditions.extend(pairs().flat_map(|(one, other)| [format!("{one} && {other}"), format!("{one} || {other}"), format!("!({one} && !{other})")]));
    let rules = |behind: &str| {
        let rule = |(n, condition): (usize, &String)| {
            format!(
                "@id(\"w{n}\") forbid (principal, action == Action::\"call\", resource) when {{ {behind} ({condition}) }};
                 @id(\"u{n}\") forbid (principal, action == Action::\"call\", resource) when {{ {behind} true }} unless {{ {condition} }};\n"
            )
        };
        control(&format!("permit (principal, action, resource);\n{}", conditions.iter().enumerate().map(rule).collect::<String>()))
    };
    let (plain, behind) = (rules(""), rules("context.transport != \"pigeon\" &&"));
    let said = |control: &Policy, arguments: &str| {
        let (code, detail) = call(control, &caller(), &item("t", Effect::Write), arguments).expect_err("some rule forbids");
        (code, detail.split(", ").map(str::to_owned).collect::<std::collections::BTreeSet<_>>())
    };
    for arguments in [
        "{}",
        r#"{"path":"/srv/a.txt"}"#,
        r#"{"path":"/srv/b.txt","amount":5}"#,
        r#"{"path":"","amount":6,"tags":["x"]}"#,
        r#"{"path":true,"tags":[1,"y"],"to":{"name":"eve"}}"#,
        r#"{"path":[1],"tags":[],"to":{"name":"bob"},"amount":-9223372036854775808}"#,
        r#"{"path":null,"to":[{"name":"eve"}]}"#,
    ] {
        let (is, must) = (said(&plain, arguments), said(&behind, arguments));
        assert_eq!(is, must, "{arguments}");
        assert!(is.1.len() > 10, "{arguments}: {is:?}");
    }
    for arguments in [r#"{"amount":1.5}"#, r#"{"tags":"x","path":"/srv/a.txt"}"#] {
        assert_eq!(code(call(&plain, &caller(), &item("t", Effect::Write), arguments)), "policy.error", "{arguments}");
    }
}

#[test]
fn time_network_transport_environment_and_labels_are_seen() {
    let permit = |condition: &str| {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        build(Config { text: Some(text), environment: "prod".to_owned(), ..Config::default() }).expect(condition)
    };
    let tool = item("a", Effect::Read);
    let seen = Facts { labels: Labels { private: true, untrusted: false }, ..facts() };
    for (condition, holds) in [
        ("context.now == datetime(\"2026-11-21T10:30:00.000Z\")", true),
        ("context.now.toTime() >= duration(\"8h\") && context.now.toTime() < duration(\"18h\")", true),
        ("context.weekday == 6", true),
        ("context.weekday < 6", false),
        ("context has peer && context.peer.isInRange(ip(\"10.0.0.0/8\"))", true),
        ("context has peer && context.peer.isLoopback()", false),
        ("context.transport == \"http\"", true),
        ("context.environment == \"prod\"", true),
        ("context.environment == \"dev\"", false),
        ("context.labels.contains(\"private\")", true),
        ("context.labels.contains(\"untrusted\")", false),
    ] {
        let expected = if holds { "pass" } else { "policy.unpermitted" };
        assert_eq!(code(judged(&permit(condition), &caller(), &tool, (&seen, "{}"))), expected, "{condition}");
    }
}

#[test]
fn an_argument_that_a_rule_cannot_see_is_not_taken_for_absent() {
    let tool = item("a", Effect::Read);
    let control = control(
        "permit (principal, action, resource);
         forbid (principal, action == Action::\"call\", resource)
         when { context.numbers.hasTag(\"/order/total\") && context.numbers.getTag(\"/order/total\") > 100 };
         forbid (principal, action == Action::\"call\", resource)
         when { context.lists.hasTag(\"to\") && context.lists.getTag(\"to\").contains(\"x@b.example\") };",
    );
    for (arguments, expected) in [
        ("{}", "pass"),
        (r#"{"order":{"total":100.0},"to":["x@a.example"]}"#, "pass"),
        (r#"{"order":{"total":101}}"#, "policy.forbid"),
        (r#"{"order":{"total":1e6}}"#, "policy.forbid"),
        (r#"{"order":{"total":1000000.0}}"#, "policy.forbid"),
        (r#"{"order":{"total":101.5}}"#, "policy.error"),
        (r#"{"order":{"total":9999999999999999999}}"#, "policy.error"),
        (r#"{"order":{"total":"1000"}}"#, "policy.error"),
        (r#"{"order":{"total":null}}"#, "policy.error"),
        (r#"{"to":["x@b.example"]}"#, "policy.forbid"),
        (r#"{"to":"x@b.example"}"#, "policy.error"),
    ] {
        let said = call(&control, &caller(), &tool, arguments);
        assert!(expected != "policy.error" || said.as_ref().is_err_and(|(_, detail)| detail.starts_with("controls.policy.text:")), "{said:?}");
        assert_eq!(code(said), expected, "{arguments}");
    }
}

#[test]
fn a_server_asks_under_rules_that_look_at_the_moment() {
    let control = control("permit (principal, action, resource); forbid (principal, action, resource) when { context.labels.contains(\"private\") };");
    let private = Facts { labels: Labels { private: true, untrusted: false }, ..facts() };
    let asked = |facts: &Facts| control.asked(&caller(), facts, ("files", Some(Method::Elicitation))).expect("no fault");
    assert!(matches!(asked(&facts()), Verdict::Because(_)));
    assert!(matches!(asked(&private), Verdict::Deny(refusal) if refusal.reason == FORBID));
}

#[test]
fn the_record_names_the_rules_that_decided() {
    let many: String = (0..20).map(|number| format!("@id(\"many-{number:02}\") permit (principal, action, resource == Tool::\"files/m\");\n")).collect();
    let control = control(&format!(
        "@id(\"reads\") permit (principal, action, resource == Tool::\"files/a\") when {{ resource.effect == \"read\" }};
         @id(\"below\") permit (principal, action == Action::\"call\", resource == Tool::\"files/a\")
         when {{ context.arguments.hasTag(\"path\") && context.arguments.getTag(\"path\") like \"/srv/*\" }};
         @id(\"no-climbing\") forbid (principal, action == Action::\"call\", resource)
         when {{ context.arguments.hasTag(\"path\") && context.arguments.getTag(\"path\") like \"*..*\" }};
         @id(\"broken\") forbid (principal, action, resource == Tool::\"files/b\") when {{ 9223372036854775807 + 1 > 0 }};
         permit (principal, action, resource == Tool::\"files/c\");
         {many}"
    ));
    let rules = |name: &str, arguments: &str| {
        let (arguments, facts) = (json(arguments), facts());
        let moment = Moment { facts: &facts, arguments: Some(arguments.view()), uri: None };
        match control.judge(&caller(), (Subject::Item(&item(name, Effect::Read)), "call"), moment).expect("no fault") {
            Verdict::Because(rules) => rules.view().text().to_owned(),
            Verdict::Deny(refusal) => refusal.rules.map_or_else(|| "none".to_owned(), |rules| format!("not {}", rules.view().text())),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(rules("a", "{}"), r#"["reads"]"#);
    assert_eq!(rules("a", r#"{"path":"/srv/x"}"#), r#"["below","reads"]"#);
    assert_eq!(rules("a", r#"{"path":"/srv/../x"}"#), r#"not ["no-climbing"]"#);
    assert_eq!(rules("b", "{}"), r#"not ["broken"]"#);
    assert_eq!(rules("c", "{}"), r#"["controls.policy.text:7"]"#);
    assert_eq!(rules("d", "{}"), "none", "nothing permits it, so nothing is named");
    let many = rules("m", "{}");
    assert!(many.starts_with(r#"["many-00","many-01","#) && many.ends_with(r#""many-15",4]"#), "{many}");
}

#[test]
fn every_moment_is_written_as_a_date() {
    let permit = control("permit (principal, action, resource) when { context.now == datetime(\"2000-02-29T23:59:59.999Z\") };");
    let tool = item("a", Effect::Read);
    let at = |now_ms| code(judged(&permit, &caller(), &tool, (&Facts { now_ms, ..facts() }, "{}")));
    assert_eq!((at(951_868_799_999), at(951_868_800_000)), ("pass", "policy.unpermitted"));
    // A clock that jumped is no reason to fail.
    for now_ms in [0, 1, u64::MAX, 68_169_600_000, 4_107_542_399_999] {
        assert_eq!(at(now_ms), "policy.unpermitted", "{now_ms}");
    }
}

#[test]
fn an_error_denies_wherever_it_stands() {
    let tool = item("a", Effect::Read);
    for rule in [
        "forbid (principal, action, resource) when { 9223372036854775807 + 1 > 0 };",
        "forbid (principal, action, resource) when { context.transport == \"http\" && 9223372036854775807 + 1 > 0 };",
        "forbid (principal, action, resource) when { 9223372036854775807 + 1 > 0 && context.transport == \"http\" };",
        "permit (principal, action, resource) when { context.weekday + 9223372036854775807 > 0 && resource.name == \"b\" };",
    ] {
        let control = control(&format!("permit (principal, action, resource);\n{rule}"));
        let (code, detail) = call(&control, &caller(), &tool, "{}").expect_err(rule);
        assert_eq!(code, "policy.error", "{rule}");
        assert!(detail.starts_with("controls.policy.text:2: "), "{detail}");
    }
}

#[test]
fn what_no_moment_could_permit_is_hidden() {
    for (rules, hidden) in [
        ("permit (principal, action, resource);", false),
        ("permit (principal, action, resource) when { resource.effect == \"write\" };", true),
        ("permit (principal, action == Action::\"follow\", resource);", true),
        ("permit (principal, action == Action::\"call\", resource) when { context.arguments.hasTag(\"a\") };", false),
        ("permit (principal, action, resource) when { context.transport == \"http\" && resource.effect == \"write\" };", true),
        ("permit (principal, action, resource) when { resource.effect == \"write\" && context.transport == \"http\" };", true),
        ("permit (principal, action, resource); forbid (principal, action, resource) when { resource.name == \"a\" };", true),
        ("permit (principal, action, resource); forbid (principal, action, resource) when { context.weekday == 6 };", false),
        ("permit (principal, action, resource); forbid (principal, action, resource) when { context.environment == \"\" };", true),
        (
            "permit (principal, action, resource); @stepup(\"mtls\") forbid (principal, action, resource) unless { principal has certificate };",
            false,
        ),
        (
            "@stepup(\"fresh-login 60\") permit (principal, action, resource) when { principal has loggedIn && context.now.durationSince(principal.loggedIn) < duration(\"60s\") };",
            false,
        ),
    ] {
        let control = control(rules);
        assert_eq!(control.hides(&caller(), &item("a", Effect::Read)), hidden, "{rules}");
        assert_eq!(control.hides(&caller(), &item("a", Effect::Read)), hidden, "{rules}, remembered");
    }
}

#[test]
fn stronger_authentication_is_asked_for_where_it_helps() {
    const FORBID: &str = "permit (principal, action, resource);
        @stepup(\"second-factor\") @acr(\"urn:mfa\") forbid (principal, action, resource) unless { principal.secondFactor };";
    const PERMIT: &str = "@stepup(\"mtls\") permit (principal, action, resource) when { principal has certificate };";
    const FRESH: &str = "permit (principal, action, resource);
        @stepup(\"fresh-login 900\") forbid (principal, action, resource)
        unless { principal has loggedIn && context.now.durationSince(principal.loggedIn) < duration(\"900s\") };";
    const BOTH: &str = "permit (principal, action, resource);
        @stepup(\"second-factor, mtls\") forbid (principal, action, resource) unless { principal.secondFactor && principal has certificate };";
    const HOPELESS: &str = "permit (principal, action, resource);
        forbid (principal, action, resource);
        @stepup(\"second-factor\") forbid (principal, action, resource) unless { principal.secondFactor };";
    const UNSAID: &str = "permit (principal, action, resource) when { principal.secondFactor };";
    let strong = Strength { certificate: Some("x".into()), second_factor: true, logged_in_ms: Some(NOW - 899_000) };
    let stale = Strength { logged_in_ms: Some(NOW - 901_000), ..Strength::default() };
    for (rules, caller, expected) in [
        (FORBID, member("g"), "identity.login"),
        (FORBID, caller(), "policy.step-up"),
        (PERMIT, member("g"), "policy.step-up"),
        (FRESH, member("g"), "identity.login"),
        (FRESH, member("g").with_strength(stale), "identity.login"),
        (BOTH, member("g"), "policy.step-up"),
        (HOPELESS, member("g"), "policy.forbid"),
        (UNSAID, member("g"), "policy.unpermitted"),
    ] {
        let (control, tool) = (control(rules), item("a", Effect::Read));
        assert_eq!(code(call(&control, &caller, &tool, "{}")), expected, "{rules}");
        let stronger = call(&control, &caller.clone().with_strength(strong.clone()), &tool, "{}");
        assert_eq!(stronger.is_ok(), rules != HOPELESS, "{rules}: {stronger:?}");
    }
    let detail = call(&control(BOTH), &caller(), &item("a", Effect::Read), "{}").expect_err("denied").1;
    assert!(detail.ends_with("needs a client certificate and a second factor"), "{detail}");
}

#[test]
fn rules_of_one_file_are_the_same_as_rules_of_many() {
    let rules = policies(40, true);
    let alone = rules.lines().enumerate().map(|(number, text)| Source { name: format!("f{number}"), text: text.to_owned() });
    let texts = |rules: &Rules| rules.iter().map(|rule| (rule.policy.to_string().trim().to_owned(), rule.permits())).collect::<Vec<_>>();
    let one = Rules::load(&[Source { name: "f".to_owned(), text: rules.clone() }]).expect("loads");
    assert_eq!(texts(&one), texts(&Rules::load(&alone.collect::<Vec<_>>()).expect("loads")));
    assert!(one.iter().zip(1..).all(|(rule, line)| rule.place == format!("f:{line}")), "each has its own place");
}

#[test]
fn what_is_remembered_belongs_to_one_caller_one_definition_and_one_action() {
    let control =
        control("permit (principal == Client::\"ann\", action == Action::\"call\", resource) when { resource.effect == \"read\" };");
    let bob = Caller::assertion("bob", Means::Token, Reach::all());
    for _ in 0..3 {
        assert_eq!(code(call(&control, &caller(), &item("a", Effect::Read), "{}")), "pass");
        assert_eq!(code(call(&control, &caller(), &item("a", Effect::Write), "{}")), "policy.unpermitted");
        assert_eq!(code(call(&control, &bob, &item("a", Effect::Read), "{}")), "policy.unpermitted");
    }
    assert_eq!(control.memory.lock().expect("whole").size()[..2], [2, 9]);
}

#[test]
fn what_is_remembered_of_all_callers_together_is_bounded_and_the_latest_of_it() {
    let rules = "permit (principal, action, resource); forbid (principal, action == Action::\"call\", resource == Tool::\"files/a\") when { context.transport == \"stdio\" };";
    let control = Policy { memory: Mutex::new(Memory::with_room(120)), ..control(rules) };
    let (open, settled) = (item("a", Effect::Read), item("b", Effect::Read));
    let regular = caller();
    for number in 0..150 {
        let passing = Caller::assertion(&format!("passing-{number}"), Means::OAuth, Reach::all());
        for (caller, item) in [(&regular, &settled), (&passing, &settled), (&passing, &open), (&regular, &open)] {
            assert_eq!(code(call(&control, caller, item, "{}")), "pass");
        }
        let memory = control.memory.lock().expect("whole");
        let [callers, answers, weight] = memory.size();
        assert!(weight <= 120 && answers <= 120 && callers <= 120, "{callers} {answers} {weight}");
        assert!(memory.has(&regular) && memory.has(&passing), "who was here just now is known");
    }
    let memory = control.memory.lock().expect("whole");
    assert!(memory.size()[0] > 4, "it is used: {:?}", memory.size());
    assert!(!memory.has(&Caller::assertion("passing-0", Means::OAuth, Reach::all())));
}

#[test]
fn sixty_thousand_callers_take_no_more_memory_than_a_few() {
    let control = control("permit (principal, action, resource);");
    let tool = item("a", Effect::Read);
    assert_eq!(code(call(&control, &caller(), &tool, "{}")), "pass");
    let mut memory = control.memory.lock().expect("whole");
    let key = (Arc::as_ptr(&tool.pin).addr(), "call");
    let found = memory.get(&caller(), key, "files").expect("remembered");
    for number in 0..60_000 {
        // Each with an own badge, as issuers give them.
        let passing = Caller::assertion(&format!("oauth:https://issuer.example/#{number}"), Means::OAuth, Reach::all());
        memory.put(&passing.with_badge(Badge::default()), key, found.clone());
        assert!(memory.size_is_bounded());
    }
    let [callers, answers, weight] = memory.size();
    assert!(callers == answers && answers == weight && (40_000..=50_000).contains(&weight), "{callers} {answers} {weight}");
    assert!(!memory.has(&caller()), "it was not used since");
}

fn policies(count: usize, arguments: bool) -> String {
    let mut text = String::from("permit (principal, action == Action::\"call\", resource) when { resource.effect == \"read\" };\n");
    for number in 1..count {
        text.push_str(&if arguments && number % 2 == 0 {
            format!("forbid (principal, action == Action::\"call\", resource) when {{ resource.owner == \"team{number}\" && context.arguments.hasTag(\"path\") && context.arguments.getTag(\"path\") like \"/etc/{number}/*\" }};\n")
        } else {
            format!("forbid (principal in Group::\"g{number}\", action, resource in Server::\"files\") when {{ resource.effect == \"destructive\" }};\n")
        });
    }
    if arguments {
        text.push_str("forbid (principal, action == Action::\"call\", resource) when { context.arguments.hasTag(\"path\") && context.arguments.getTag(\"path\") like \"/etc/*\" };\n");
    }
    text
}

/// How long this thread was on a processor: on a machine that does other things, too, the wall clock says little.
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn cpu_us() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).expect("a number") / 1000.0
}

/// Prints what a call costs in processor time: `cargo test --release -p bartizan-monitor --lib -- --ignored --nocapture measured`.
#[test]
#[ignore = "a measurement, for release builds"]
fn measured() {
    let clock = |what: &str, times: u32, mut work: Box<dyn FnMut() + '_>| {
        let begun = cpu_us();
        (0..times).for_each(|_| work());
        println!("{what}: {:.2} µs", (cpu_us() - begun) / f64::from(times));
    };
    let arguments = json(r#"{"path":"/srv/a/b/c","other":[1,2,3]}"#);
    for (count, looks) in [(2, false), (50, false), (200, false), (2, true), (50, true), (200, true)] {
        let (control, tool, caller, facts) = (control(&policies(count, looks)), item("a", Effect::Read), member("x"), facts());
        let ask = || {
            let moment = Moment { facts: &facts, arguments: Some(arguments.view()), uri: None };
            assert!(matches!(control.judge(&caller, (Subject::Item(&tool), "call"), moment), Ok(Verdict::Because(_))));
        };
        ask();
        clock(&format!("{count} rules, arguments {looks}: a call"), 100_000, Box::new(ask));
        let pins: Vec<Item> = (0..1000).map(|number| item(&format!("t{number}"), Effect::Read)).collect();
        clock(
            &format!("{count} rules: 1,000 tools listed for the first time"),
            1,
            Box::new(|| pins.iter().for_each(|pin| assert!(!control.hides(&caller, pin)))),
        );
        clock(
            &format!("{count} rules: 1,000 tools listed again"),
            10,
            Box::new(|| pins.iter().for_each(|pin| assert!(!control.hides(&caller, pin)))),
        );
    }
    let text = policies(9_999, true);
    clock("10,000 rules: load", 1, Box::new(|| drop(control(&text))));
    let (control, tool) = (control(&text), item("a", Effect::Read));
    clock("10,000 rules: the first call", 1, Box::new(|| assert_eq!(call(&control, &caller(), &tool, "{}"), Ok(()))));
    clock("10,000 rules: a call", 10_000, Box::new(|| assert_eq!(call(&control, &caller(), &tool, "{}"), Ok(()))));
}
