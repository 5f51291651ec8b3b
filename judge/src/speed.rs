//! How fast texts are looked through: what is ordinary, the worst text of the corpora, one kilobyte. Different each time, and on
//! no page; the least of several times each, as what else the machine does is no cost of ours.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bartizan_detect::pii::{self, Data};
use bartizan_detect::secrets;
use bartizan_detect::{Options, scan_result};

use crate::corpus::{self, text};

/// Where the texts are from.
const FILES: &[&str] = &["injection_text", "secrets", "pii", "hidden_text"];
/// Of shorter texts the time says little.
const SHORTEST: usize = 512;
/// How often each is looked at.
const TIMES: usize = 5;

/// What is measured: its name, and the look.
type Look = (&'static str, fn(&str));

const LOOKS: &[Look] = &[
    ("secrets", |text| drop(black_box(secrets::find(text)))),
    ("orders", |text| drop(black_box(scan_result(text, Options::default())))),
    ("personal data", |text| drop(black_box(pii::find(text, Data::ALL)))),
];

/// A line for each, and one for all together.
pub(crate) fn measured(corpora: &Path) -> Result<String> {
    let mut ordinary = Vec::new();
    let mut all = Vec::new();
    for file in FILES {
        for row in corpus::read(corpora, file)? {
            let body = text(&row, "text").to_owned();
            if body.len() < SHORTEST {
                continue;
            }
            if *file == "injection_text" && text(&row, "tier") == "benign" {
                ordinary.push(body.clone());
            }
            all.push((text(&row, "id").to_owned(), body));
        }
    }
    let near = |body: &&String| body.len().abs_diff(1024);
    let kilobyte = ordinary.iter().min_by_key(near).context("no ordinary output in the corpora")?;
    let together = |text: &str| LOOKS.iter().for_each(|(_, look)| look(text));
    let mut out = format!("looking through texts of {SHORTEST} bytes and more, one core:\n");
    let mut line = |name: &str, look: &dyn Fn(&str)| {
        let bytes: usize = ordinary.iter().map(String::len).sum();
        let usual = least(|| ordinary.iter().for_each(|body| look(body)));
        let rates = all.iter().map(|(id, body)| (rate(body.len(), least(|| look(body))), id));
        let Some((worst, id)) = rates.min_by(|a, b| a.0.total_cmp(&b.0)) else { return };
        let one = least(|| look(kilobyte)).as_secs_f64() * 1e6;
        let _ = writeln!(
            out,
            "{name}: ordinary output {:.0} MB/s, the worst text {worst:.1} MB/s ({id}), {} bytes in {one:.1} µs",
            rate(bytes, usual),
            kilobyte.len()
        );
    };
    LOOKS.iter().for_each(|(name, look)| line(name, look));
    line("all of them", &together);
    Ok(out)
}

fn least(work: impl Fn()) -> Duration {
    let times = (0..TIMES).map(|_| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    });
    times.min().unwrap_or_default()
}

/// Megabytes in a second.
#[expect(clippy::cast_precision_loss, reason = "at most some megabytes")]
fn rate(bytes: usize, took: Duration) -> f64 {
    bytes as f64 / took.as_secs_f64() / 1e6
}
