//! What counting costs. Printed, and held to a bound that only a mistake exceeds:
//! `cargo test --release -p bartizan-meter --test speed -- --nocapture`.

use std::sync::Arc;
use std::time::Instant;

use bartizan_meter::{Call, Class, DoorRules, Doors, Knock, Meter, Moment, Rate, Rules, Scope, Seed, Tally};

const CALLS: u32 = if cfg!(debug_assertions) { 20_000 } else { 400_000 };

#[test]
fn counting_a_call_costs_less_than_a_microsecond() {
    let meter = Arc::new(Meter::new(Seed::new([7; 16])));
    let rules = Rules {
        session_per_minute: Some(60_000_000),
        server_per_minute: Some(60_000_000),
        total_per_minute: Some(60_000_000),
        read_per_minute: 60_000_000,
        client_per_minute: 60_000_000,
        ..Rules::default()
    };
    let doors = Doors::new(DoorRules { messages: Rate::per_minute(60_000_000), offences: 100, pause_us: 1 });
    let principals: Vec<String> = (0..10_000).map(|number| format!("oauth:login.example.com#person-{number}")).collect();
    #[expect(clippy::disallowed_methods, reason = "what counting costs is measured")]
    let begun = Instant::now();
    for (number, principal) in (0..CALLS).zip(principals.iter().cycle()) {
        let now = Moment { steady_us: u64::from(number) + 1, wall_ms: 0 };
        assert_eq!(doors.knock(meter.key(Scope::Door, &[principal]), now.steady_us), Knock::In);
        let tally = Arc::new(Tally::new(meter.clone(), now));
        let call = Call {
            client: principal,
            credential: [principal, ""],
            session: "3f1c9a7e",
            server: "files",
            kind: "tool",
            name: "read_text_file",
            class: Class::Read,
            per_minute: None,
            cost: 1,
            bytes: 100,
        };
        tally.charge(&rules.bill(tally.meter(), &call)).expect("within its limits");
        tally.keep();
    }
    let each = begun.elapsed().as_nanos() / u128::from(CALLS);
    println!("one call, five rates and the door: {each} ns ({} calls of 10,000 clients)", CALLS);
    // Without optimisation, and on a machine that does other things, it is many times slower.
    let bound = if cfg!(debug_assertions) { 1_000_000 } else { 10_000 };
    assert!(each < bound, "{each} ns");
}
