//! Reading corpora: JSON Lines, gzipped or not. The text in them is adversarial, and never printed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// All rows of `name.jsonl.gz` or `name.jsonl` in a directory.
pub(crate) fn read(dir: &Path, name: &str) -> Result<Vec<Value>> {
    let packed = dir.join(format!("{name}.jsonl.gz"));
    let plain = dir.join(format!("{name}.jsonl"));
    let reader: Box<dyn Read> = if let Ok(file) = File::open(&packed) {
        Box::new(flate2::read::GzDecoder::new(file))
    } else if let Ok(file) = File::open(&plain) {
        Box::new(file)
    } else {
        bail!("there is no {name}.jsonl.gz in {}: say where the corpora are with --corpora DIR", dir.display());
    };
    let lines = BufReader::new(reader).lines();
    let rows = lines.enumerate().map(|(i, line)| serde_json::from_str(&line?).with_context(|| format!("{name}, line {}", i + 1)));
    rows.collect()
}

/// The corpora of a directory, by name.
pub(crate) fn names(dir: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".gz").unwrap_or(&name).strip_suffix(".jsonl").map(str::to_owned));
    }
    Ok(names)
}

/// A string member, or nothing.
pub(crate) fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// One half of the groups is for tuning, the other shows what tuning did not see. FNV-1a, then a finaliser, as
/// short names differ in too few bits.
pub(crate) fn is_tuned(group: &str) -> bool {
    let mut hash = group.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (hash ^ (hash >> 31)) & 1 == 1
}
