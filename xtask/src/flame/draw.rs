//! The picture: what a function calls stands on it, as wide as its share of the looks.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;

use super::stacks::Stack;

const WIDTH: f64 = 1400.0;
const ROW: f64 = 15.0;
const TOP: f64 = 30.0;
/// Narrower than this share of the whole is not drawn.
const LEAST: f64 = 0.003;
/// About how wide a letter is.
const LETTER: f64 = 6.2;

/// A function, by all that leads to it.
#[derive(Default)]
struct Node {
    count: usize,
    above: BTreeMap<String, Node>,
}

impl Node {
    fn of(stacks: &[Stack]) -> Node {
        let mut root = Node::default();
        for stack in stacks {
            root.count += 1;
            let mut at = &mut root;
            for name in stack {
                at = at.above.entry(name.clone()).or_default();
                at.count += 1;
            }
        }
        root
    }

    /// How many rows of it are drawn.
    fn depth(&self, all: usize) -> usize {
        let drawn = self.above.values().filter(|node| is_drawn(node.count, all));
        drawn.map(|node| 1 + node.depth(all)).max().unwrap_or(0)
    }
}

fn is_drawn(count: usize, all: usize) -> bool {
    count as f64 >= LEAST * all as f64
}

/// What is drawn of the whole.
struct Canvas {
    svg: String,
    all: usize,
    height: f64,
}

pub(super) fn svg(stacks: &[Stack], title: &str) -> Result<String> {
    let root = Node::of(stacks);
    let height = TOP + ROW * (root.depth(root.count) + 1) as f64;
    let mut canvas = Canvas { svg: String::new(), all: root.count, height };
    writeln!(
        canvas.svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"monospace\" font-size=\"10\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"4\" y=\"18\" font-size=\"13\">{}</text>",
        escaped(title)
    )?;
    canvas.row(&root, 0, 0.0)?;
    canvas.svg.push_str("</svg>\n");
    Ok(canvas.svg)
}

impl Canvas {
    /// What stands on a function that begins at `x`.
    fn row(&mut self, node: &Node, level: usize, x: f64) -> Result<()> {
        let mut at = x;
        for (name, above) in &node.above {
            let width = above.count as f64 / self.all as f64 * WIDTH;
            if is_drawn(above.count, self.all) {
                self.frame(name, above.count, (level, at))?;
                self.row(above, level + 1, at)?;
            }
            at += width;
        }
        Ok(())
    }

    fn frame(&mut self, name: &str, count: usize, (level, x): (usize, f64)) -> Result<()> {
        let share = count as f64 / self.all as f64;
        let (width, y) = (share * WIDTH, self.height - ROW * (level + 1) as f64);
        let letters = ((width - 4.0) / LETTER) as usize;
        write!(
            self.svg,
            "<g><title>{} ({:.1} %)</title><rect x=\"{x:.1}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"14\" fill=\"{}\"/>",
            escaped(name),
            share * 100.0,
            (width - 0.5).max(0.2),
            colour(name)
        )?;
        if letters > 3 {
            write!(self.svg, "<text x=\"{:.1}\" y=\"{:.0}\">{}</text>", x + 2.0, y + 11.0, escaped(&shown(name, letters)))?;
        }
        writeln!(self.svg, "</g>")?;
        Ok(())
    }
}

/// The end of a name says more than its beginning.
fn shown(name: &str, letters: usize) -> String {
    let skip = name.chars().count().saturating_sub(letters);
    name.chars().skip(skip).collect()
}

/// By whose it is.
fn colour(name: &str) -> &'static str {
    let is = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match name {
        _ if is(&["bartizan_detect"]) => "#f4a261",
        _ if is(&["bartizan_monitor"]) => "#e9c46a",
        _ if is(&["bartizan"]) => "#e76f51",
        _ if is(&["cedar"]) => "#b5c99a",
        _ if is(&["hyper", "tokio", "http", "mio"]) => "#8ecae6",
        _ if is(&["alloc", "mi_", "malloc", "free", "memcpy", "memmove"]) => "#d8b4e2",
        _ if name.contains("::") => "#dddddd",
        _ => "#bcbcbc",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
