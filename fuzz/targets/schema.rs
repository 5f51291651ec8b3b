//! A server's schema and a model's arguments: both are somebody else's, and judging one by the other must
//! end, quickly and without a panic.
#![no_main]

use bartizan_monitor::wire::json::Json;
use bartizan_schema::Rules;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The first line is the schema, the rest are the arguments.
    let mut parts = data.splitn(2, |b| *b == b'\n');
    let mut json = || Json::parse(Bytes::copy_from_slice(parts.next().unwrap_or_default())).ok();
    let Some(schema) = json() else { return };
    let Ok(rules) = Rules::compile(&schema.view().to_value()) else { return };
    let Some(arguments) = json() else { return };
    let arguments = arguments.view().to_value();
    let verdict = |rules: &Rules| (rules.broken(&arguments).map(|b| b.to_string()), rules.undeclared(&arguments));
    // Same schema, same arguments: same answer.
    let again = Rules::compile(&schema.view().to_value()).ok().map(|rules| verdict(&rules));
    assert_eq!(again, Some(verdict(&rules)));
});
