//! Two texts line by line.

/// One line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Stood there and stands there.
    Kept(String),
    /// Is gone.
    Gone(String),
    /// Came.
    Came(String),
}

/// Texts with more lines than this are shown one after the other: comparing them would take the
/// product of their lengths.
const MAX_LINES: usize = 1500;

/// The longest common subsequence of lines, told as a story.
pub(crate) fn diff(old: &str, new: &str) -> Vec<Line> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old.len() > MAX_LINES || new.len() > MAX_LINES {
        let gone = old.iter().map(|line| Line::Gone((*line).to_owned()));
        return gone.chain(new.iter().map(|line| Line::Came((*line).to_owned()))).collect();
    }
    let lengths = lengths(&old, &new);
    let length = |i: usize, j: usize| lengths.get(i).and_then(|row: &Vec<u16>| row.get(j)).copied().unwrap_or(0);
    let (mut i, mut j, mut story) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => {
                story.push(Line::Kept((*a).to_owned()));
                (i, j) = (i.saturating_add(1), j.saturating_add(1));
            }
            (Some(a), b) if b.is_none() || length(i.saturating_add(1), j) >= length(i, j.saturating_add(1)) => {
                story.push(Line::Gone((*a).to_owned()));
                i = i.saturating_add(1);
            }
            (_, Some(b)) => {
                story.push(Line::Came((*b).to_owned()));
                j = j.saturating_add(1);
            }
            (_, None) => break,
        }
    }
    story
}

/// `lengths[i][j]`: how many lines the rests from `i` and `j` have in common.
fn lengths(old: &[&str], new: &[&str]) -> Vec<Vec<u16>> {
    let mut rows = vec![vec![0_u16; new.len().saturating_add(1)]];
    for a in old.iter().rev() {
        let below = rows.last().cloned().unwrap_or_default();
        let mut row = vec![0_u16; new.len().saturating_add(1)];
        let mut right = 0;
        for (j, b) in new.iter().enumerate().rev() {
            let at = |k: usize| below.get(k).copied().unwrap_or(0);
            right = if a == b { at(j.saturating_add(1)).saturating_add(1) } else { at(j).max(right) };
            if let Some(cell) = row.get_mut(j) {
                *cell = right;
            }
        }
        rows.push(row);
    }
    rows.reverse();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &str, new: &str) -> String {
        let sign = |line: &Line| match line {
            Line::Kept(text) => format!(" {text}"),
            Line::Gone(text) => format!("-{text}"),
            Line::Came(text) => format!("+{text}"),
        };
        diff(old, new).iter().map(sign).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn a_difference_is_the_shortest_story() {
        assert_eq!(told("a\nb\nc", "a\nx\nc"), " a|-b|+x| c");
        assert_eq!(told("", "a"), "+a");
        assert_eq!(told("a", ""), "-a");
        assert_eq!(told("a\nb", "b\na\nb"), "+b| a| b");
    }
}
