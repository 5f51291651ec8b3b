//! What holds for every sequence of calls and clocks.

use std::sync::Arc;

use bartizan_meter::{Ask, Budget, Call, Class, Key, Meter, Moment, Of, Period, Rules, Seed, Sharing, Tally};
use proptest::prelude::*;

const MINUTE_US: u64 = 60_000_000;

fn call(meter: &Arc<Meter>, rules: &Rules, now: Moment) -> bool {
    let of = Call {
        client: "c",
        credential: ["c", ""],
        session: "s",
        server: "files",
        kind: "tool",
        name: "read",
        class: Class::Other,
        per_minute: None,
        cost: 1,
        bytes: 1,
    };
    let tally = Tally::new(meter.clone(), now);
    let made = tally.charge(&rules.bill(meter, &of)).is_ok();
    tally.keep();
    made
}

fn at(steady_us: u64) -> Moment {
    Moment { steady_us, wall_ms: steady_us / 1000 }
}

/// A token bucket with exact arithmetic: another way to say the same as the generic cell rate algorithm.
struct Bucket {
    level_us: u64,
    seen_us: u64,
    step_us: u64,
    size_us: u64,
}

impl Bucket {
    fn take(&mut self, now_us: u64) -> bool {
        self.level_us = self.size_us.min(self.level_us + (now_us - self.seen_us));
        self.seen_us = now_us;
        let fits = self.level_us >= self.step_us;
        if fits {
            self.level_us -= self.step_us;
        }
        fits
    }
}

proptest! {
    #[test]
    fn a_rate_is_a_token_bucket(count in 1..500_u32, pauses in prop::collection::vec(0..2_000_000_u64, 1..400)) {
        let (meter, rules) = (Arc::new(Meter::default()), Rules { client_per_minute: count, ..Rules::default() });
        let step_us = MINUTE_US / u64::from(count);
        let mut bucket = Bucket { level_us: step_us * u64::from(count), seen_us: 1, step_us, size_us: step_us * u64::from(count) };
        let mut now_us = 1;
        for pause in pauses {
            now_us += pause;
            prop_assert_eq!(call(&meter, &rules, at(now_us)), bucket.take(now_us));
        }
    }

    #[test]
    fn clocks_that_jump_neither_lock_out_nor_give_away(
        count in 1..60_u32,
        jumps in prop::collection::vec((0..2_000_000_000_u64, 1..100_usize), 1..20),
    ) {
        let (meter, rules) = (Arc::new(Meter::default()), Rules { client_per_minute: count, ..Rules::default() });
        let mut last = 0;
        for (time, calls) in &jumps {
            let made = (0..*calls).filter(|_| call(&meter, &rules, at(*time + 1))).count();
            prop_assert!(made <= count as usize, "more than a minute's allowance at one moment");
            last = *time;
        }
        prop_assert!(call(&meter, &rules, at(last + 1 + MINUTE_US)), "locked out for longer than a minute");
    }

    #[test]
    fn a_budget_is_never_exceeded_in_its_period(steps in prop::collection::vec(0..4_000_000_u64, 1..300), calls in 1..50_u64) {
        let budget = Budget { of: Of::Client, per: Period::Hour, calls: Some(calls), bytes: None, cost: None };
        let (meter, rules) = (Arc::new(Meter::default()), Rules { client_per_minute: 60_000_000, budgets: vec![budget], ..Rules::default() });
        let mut made = std::collections::BTreeMap::<u64, u64>::new();
        let mut now_ms = 0;
        for step in steps {
            now_ms += step / 10;
            if call(&meter, &rules, at(now_ms * 1000 + 1)) {
                *made.entry(now_ms / 3_600_000).or_default() += 1;
            }
        }
        prop_assert!(made.values().all(|made| *made <= calls));
    }

    /// The common count is played by a bucket; several gateways call, and ask it whenever the case says so.
    #[test]
    fn gateways_that_lease_exceed_a_rate_by_one_lease_each_at_most(
        gateways in 1..5_usize,
        count in 1..200_u32,
        acts in prop::collection::vec((0..5_usize, any::<bool>(), 0..300_000_u64), 1..600),
    ) {
        let meters: Vec<Arc<Meter>> = (0..gateways).map(|_| Arc::new(Meter::new(Seed::default()))).collect();
        meters.iter().for_each(|meter| meter.share(Sharing::Leases));
        let rules = Rules { client_per_minute: count, ..Rules::default() };
        let (mut now_us, mut due_us, mut made) = (1, 0, 0_u64);
        for (who, asks, pause) in acts {
            now_us += pause;
            let Some(meter) = meters.get(who % gateways) else { continue };
            made += u64::from(call(meter, &rules, at(now_us)));
            if asks {
                for ask in meter.asks() {
                    let answer = grant(&ask, &mut due_us, now_us);
                    meter.settle(&ask, answer, at(now_us));
                }
            }
        }
        let lease = u64::from(count).div_ceil(8);
        let most = u64::from(count) + now_us * u64::from(count) / MINUTE_US + 1 + gateways as u64 * lease;
        prop_assert!(made <= most, "{} calls, at most {}", made, most);
    }
}

fn grant(ask: &Ask, due_us: &mut u64, now_us: u64) -> (u64, u64) {
    let (step, burst) = (ask.rate.step_us(), ask.rate.burst_us());
    *due_us = (*due_us).saturating_sub(ask.back * step).max(now_us) + ask.owed * step;
    let granted = ((now_us + burst).saturating_sub(*due_us) / step).min(ask.wanted);
    *due_us += granted * step;
    (granted, if granted == 0 { (*due_us + step).saturating_sub(now_us + burst) } else { 0 })
}

#[test]
fn a_million_keys_and_ten_thousand_clients_are_small() {
    let meter = Arc::new(Meter::new(Seed::new([7; 16])));
    let rules = Rules { read_per_minute: 2, ..Rules::default() };
    for number in 0..1_000_000_u32 {
        let (client, name) = (format!("client-{}", number % 10_000), format!("tool-{}", number / 10_000));
        let call = Call {
            client: &client,
            credential: [&client, ""],
            session: "s",
            server: "files",
            kind: "tool",
            name: &name,
            class: Class::Read,
            per_minute: None,
            cost: 1,
            bytes: 0,
        };
        let tally = Tally::new(meter.clone(), at(1));
        tally.charge(&rules.bill(&meter, &call)).expect("within its limits");
        tally.keep();
    }
    let mib = meter.bytes() / (1 << 20);
    println!("1,010,000 live keys: {mib} MiB");
    assert!(mib < 64, "{mib} MiB");
    assert_eq!(Key::read("0"), None);
}
