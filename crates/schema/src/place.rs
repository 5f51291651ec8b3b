//! How the place of something is said.

/// A JSON pointer, or other text that may hold words of a request, made fit for a log: one line, no
/// control characters, not endless.
pub(crate) fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let mut out: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        out.push('…');
    }
    out
}
