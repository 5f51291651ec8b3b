use super::*;

fn likeness(a: &str, b: &str) -> Likeness {
    Name::new(a).likeness(&Name::new(b))
}

#[test]
fn what_a_reader_takes_for_another_is_a_look_alike() {
    for other in [
        "read_fi1e",
        "read_flle",
        "reacl_file",
        "r3ad_file",
        "re@d_file",
        "read__file",
        "read_file_",
        "READ_F1LE",
        "ŕéad_fílè",
        "rеad_file",
        "ｒｅａｄ＿ｆｉｌｅ",
        "𝐫𝑒𝒶𝓭_file",
        "ⓡⓔⓐⓓ_file",
        "🅡🅔🅐🅓_file",
        "🇷🇪🇦🇩_file",
        "read_ﬁle",
        "ʀᴇᴀᴅ_ꜰɪʟᴇ",
        "read\u{200b}_file",
        "read_file\u{e0061}",
        "read\u{ad}_file",
        "r̶e̶a̶d̶_file",
        "read﹍file",
        "read—file",
        " read_file",
        "read_file\u{2800}",
    ] {
        assert_eq!(likeness(other, "read_file"), Likeness::LookAlike, "{other:?}");
    }
    for (a, b) in
        [("сору", "copy"), ("ΤΟΡ", "TOP"), ("ᎪᏚᏚ", "ASS"), ("rnove", "move"), ("vvrite", "write"), ("de6ug", "debug"), ("de8ug", "debug")]
    {
        assert_eq!(likeness(a, b), Likeness::LookAlike, "{a:?}");
    }
}

#[test]
fn what_a_reader_tells_apart_is_different() {
    let pairs = [
        ("get_user", "set_user"),
        ("list_label", "list_labels"),
        ("resize_6", "resize_8"),
        ("top_1", "top_7"),
        ("read_file", "read_files"),
        ("мой", "мои"),
        ("かき", "がき"),
        ("कि", "की"),
        ("读取", "读书"),
        ("🔥", "💧"),
    ];
    for (a, b) in pairs {
        assert_eq!(likeness(a, b), Likeness::Different, "{a:?} {b:?}");
    }
    for other in ["readFile", "read-file", "READ_FILE", "read.file", "read/file", "read file"] {
        assert_eq!(likeness(other, "read_file"), Likeness::Near, "{other:?}");
    }
    assert_eq!(likeness("read_file", "read_file"), Likeness::Same);
}

#[test]
fn some_names_are_suspicious_by_themselves() {
    for (name, why) in [
        ("a\u{202e}b", Disguise::Invisible),
        ("a\u{7}b", Disguise::Invisible),
        ("a\u{e000}b", Disguise::Invisible),
        ("a ", Disguise::Space),
        ("a  b", Disguise::Space),
        ("a\u{a0}b", Disguise::Space),
        ("ａ", Disguise::Form),
        ("x²", Disguise::Form),
        ("🅰", Disguise::Form),
        ("раypal", Disguise::Scripts),
        ("get_Δt", Disguise::Scripts),
    ] {
        assert_eq!(Name::new(name).disguise(), Some(why), "{name:?}");
    }
    for name in ["get user", "café", "получить_pdf", "検索go", "テスト", "한글API", "מצא_קובץ", "परीक्षण", "🔍search", "a.b/c:d"]
    {
        assert_eq!(Name::new(name).disguise(), None, "{name:?}");
    }
}

#[test]
fn the_stranger_of_two_loses_and_else_both() {
    assert_eq!(tricks(&[("a", "copy"), ("b", "сору")]), [None, Some(Trick::Resembles(0))]);
    assert_eq!(tricks(&[("a", "f1le"), ("b", "file")]), [Some(Trick::Resembles(1)), Some(Trick::Resembles(0))]);
    assert_eq!(tricks(&[("a", "сору"), ("b", "copy\u{200b}"), ("c", "x")]), [None, Some(Trick::Resembles(0)), None]);
    assert_eq!(tricks(&[("a", "x\u{200b}"), ("b", "y")]), [Some(Trick::Disguised(Disguise::Invisible)), None]);
}

#[test]
fn equal_and_near_names_of_two_servers_are_honest() {
    assert_eq!(tricks(&[("a", "get_user"), ("b", "get_user"), ("c", "getUser"), ("a", "x")]), [None; 4]);
    let one = tricks(&[("a", "get_user"), ("a", "getUser"), ("b", "get-user")]);
    assert_eq!(one, [Some(Trick::Resembles(1)), Some(Trick::Resembles(0)), None]);
}

#[test]
fn no_name_wears_the_prefix_of_another_server() {
    let names = [("files", "read"), ("b", "files__read"), ("b", "fi1es--x"), ("files", "files__y"), ("b", "files_z"), ("b", "_x__y")];
    let expected = [None, Some(Trick::Prefix(0)), Some(Trick::Prefix(0)), None, None, None];
    assert_eq!(tricks(&names), expected);
}

#[test]
fn many_names_that_look_the_same_take_little_time() {
    let names: Vec<String> =
        (0_u32..20_000).map(|n| format!("{n:015b}").replace('0', "o").replace('1', if n % 2 == 0 { "1" } else { "l" })).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| ("a", name.as_str())).collect();
    assert_eq!(tricks(&pairs).len(), 20_000);
}
