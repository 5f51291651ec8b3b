use super::*;
use bartizan_monitor::reason::gateway::{SERVE_BUSY, UPSTREAM_TIMEOUT};

fn metrics() -> Arc<Metrics> {
    Metrics::new(&["s".into(), "t".into()])
}

fn shown(metrics: &Arc<Metrics>) -> String {
    let standing = |server: &str, health, confined| Standing { server: server.into(), health, confined };
    let servers = vec![standing("s", Health::Failing, Some("native")), standing("t", Health::Idle, None)];
    let level = Level { servers, sessions: 2, streams: 3, calls: 4, journal_lines: 5, journal_bytes: 6 };
    encode::encode(&encode::registry(metrics.clone(), Box::new(move || level.clone()))).expect("text")
}

#[test]
fn a_call_is_counted_once_however_it_ends() {
    let metrics = metrics();
    let begin = || {
        let mut call = metrics.call();
        call.concerns("s", Effect::Write);
        call
    };
    begin().ended(&Ok(None));
    begin().ended(&Err(Refusal::new(UPSTREAM_TIMEOUT, "")));
    begin().ended(&Err(Refusal::new(SERVE_BUSY, "")));
    drop(begin());
    // What concerns no server, or none that is configured, is no call to one.
    drop(metrics.call());
    let mut elsewhere = metrics.call();
    elsewhere.concerns("u", Effect::Read);
    drop(elsewhere);
    let text = shown(&metrics);
    for outcome in ["answered", "failed", "refused", "abandoned"] {
        let line = format!("bartizan_calls_total{{server=\"s\",effect=\"write\",outcome=\"{outcome}\"}} 1\n");
        assert!(text.contains(&line), "{line}{text}");
    }
    let sum: u64 = text
        .lines()
        .filter(|line| line.starts_with("bartizan_calls_total"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(sum, 4);
    assert!(text.contains("bartizan_refusals_total{reason=\"upstream.timeout\"} 1\n"), "{text}");
}

#[test]
fn levels_durations_and_drift_are_shown() {
    let metrics = metrics();
    metrics.refused(SERVE_BUSY);
    metrics.waited("s", Duration::from_millis(3));
    metrics.waited("s", Duration::from_secs(100));
    metrics.drifted("t", [Drifted::Removed, Drifted::Changed(Grade::Steering), Drifted::Removed]);
    metrics.found("t", Drifted::Removed);
    let text = shown(&metrics);
    for line in [
        "bartizan_build_info{version=\"0.1.0\"} 1",
        "bartizan_refusals_total{reason=\"serve.busy\"} 1",
        "bartizan_upstream_duration_seconds_bucket{le=\"0.0025\",server=\"s\"} 0",
        "bartizan_upstream_duration_seconds_bucket{le=\"0.005\",server=\"s\"} 1",
        "bartizan_upstream_duration_seconds_bucket{le=\"+Inf\",server=\"s\"} 2",
        "bartizan_upstream_duration_seconds_count{server=\"s\"} 2",
        "bartizan_upstream_duration_seconds_sum{server=\"s\"} 100.003",
        "bartizan_drifted_definitions{server=\"t\",grade=\"removed\"} 2",
        "bartizan_drifted_definitions{server=\"t\",grade=\"steering\"} 1",
        "bartizan_drifted_definitions{server=\"s\",grade=\"removed\"} 0",
        "bartizan_drift_found_total{server=\"t\",grade=\"removed\"} 1",
        "bartizan_server_state{server=\"s\",state=\"failing\"} 1",
        "bartizan_server_state{server=\"s\",state=\"running\"} 0",
        "bartizan_server_state{server=\"t\",state=\"idle\"} 1",
        "bartizan_server_confined{server=\"s\",level=\"native\"} 1",
        "bartizan_sessions 2",
        "bartizan_streams 3",
        "bartizan_running_calls 4",
        "bartizan_journal_lines_total 5",
        "bartizan_journal_bytes_total 6",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    metrics.drifted("t", []);
    assert!(shown(&metrics).contains("bartizan_drifted_definitions{server=\"t\",grade=\"removed\"} 0"), "what was reviewed drifts no more");
}
