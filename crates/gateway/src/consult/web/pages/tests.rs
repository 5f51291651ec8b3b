use super::*;

#[test]
fn times_are_said_as_people_say_them() {
    let said = [0, 59_999, 61_000, 3_600_000, 86_399_000].map(spoken);
    assert_eq!(said, ["0 s", "59 s", "1 min 1 s", "1 h 0 min", "23 h 59 min"]);
}
