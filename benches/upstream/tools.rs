//! The tool list, made once.

use std::fmt::Write as _;

const ECHO: &str = r#"{"name":"echo","title":"Echo","description":"Returns the message it is given, unchanged.","inputSchema":{"type":"object","properties":{"message":{"type":"string","description":"The text to return"}},"required":["message"],"additionalProperties":false},"annotations":{"readOnlyHint":true,"openWorldHint":false}}"#;

/// `n` tools as JSON text. About 600 bytes a tool, the size of a usual one.
pub(crate) fn json(n: usize) -> String {
    let verbs = ["create", "list", "update", "delete", "search"].into_iter().cycle();
    let nouns = ["ticket", "invoice", "customer", "deployment", "document"].into_iter().cycle();
    let nouns = nouns.flat_map(|noun| std::iter::repeat_n(noun, 5));
    let mut s = format!("[{ECHO}");
    for ((i, v), o) in (0..n).zip(verbs).zip(nouns).skip(1) {
        // Writing to a string cannot fail.
        let _ = write!(
            s,
            r#",{{"name":"{v}_{o}_{i:04}","title":"{v} {o} {i}","description":"Use this tool to {v} one {o} in region {i}. It needs the identifier of the workspace and answers with the record as it stands after the call.","inputSchema":{{"type":"object","properties":{{"workspace":{{"type":"string","description":"Identifier of the workspace"}},"id":{{"type":"string","description":"Identifier of the {o}"}},"limit":{{"type":"integer","minimum":1,"maximum":100,"description":"How many records at most"}},"fields":{{"type":"array","items":{{"type":"string"}},"description":"Names of the fields to return"}}}},"required":["workspace"]}}}}"#
        );
    }
    s.push(']');
    s
}
