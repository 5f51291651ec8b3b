//! Renames: what is gone under one name and came under another, much the same.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_monitor::case::Kind;
use bartizan_monitor::wire::canonical::Digest;
use bartizan_monitor::wire::json::{Edits, Json, View};

use super::{Change, What};

/// How much of their shape two definitions must have in common, in percent of what either has.
const ALIKE: usize = 60;
/// How many traits one definition must have before likeness means anything.
const TRAITS: usize = 4;
/// No more traits than this are compared, and of each no more characters: whoever offers a definition decides
/// how many words it has, and each is compared with those of many others.
const MAX_TRAITS: usize = 500;
const TRAIT_CHARS: usize = 80;
/// How many pairs are compared trait by trait. Beyond it only definitions that are equal but for their
/// name are paired.
const MAX_PAIRS: usize = 40_000;

/// Replaces pairs of a definition that is gone and one that came by one change, where they are much alike.
pub(super) fn pair(changes: &mut Vec<Change>) {
    let gone: Vec<usize> = places(changes, |what| matches!(what, What::Removed(_)));
    let came: Vec<usize> = places(changes, |what| matches!(what, What::New(_)));
    if gone.is_empty() || came.is_empty() {
        return;
    }
    let mut pairs = equal(changes, &gone, &came);
    let rest = |all: &[usize], taken: &BTreeSet<usize>| all.iter().copied().filter(|place| !taken.contains(place)).collect::<Vec<_>>();
    let (gone, came) = (rest(&gone, &pairs.keys().copied().collect()), rest(&came, &pairs.values().copied().collect()));
    if gone.len().saturating_mul(came.len()) <= MAX_PAIRS {
        pairs.extend(alike(changes, &gone, &came));
    }
    let mut joined = BTreeMap::new();
    for (gone, came) in &pairs {
        if let (Some(Change { what: What::Removed(pin), .. }), Some(Change { kind, name, what: What::New(definition) })) =
            (changes.get(*gone), changes.get(*came))
        {
            joined.insert(*came, Change { kind: *kind, name: name.clone(), what: What::Renamed(pin.clone(), definition.clone()) });
        }
    }
    let mut place = 0_usize;
    changes.retain_mut(|change| {
        let (here, renamed) = (place, joined.remove(&place));
        place = place.saturating_add(1);
        if let Some(renamed) = renamed {
            *change = renamed;
        }
        !pairs.contains_key(&here)
    });
}

fn places(changes: &[Change], wanted: impl Fn(&What) -> bool) -> Vec<usize> {
    changes.iter().enumerate().filter(|(_, change)| wanted(&change.what)).map(|(place, _)| place).collect()
}

fn definition(change: &Change) -> Option<&Json> {
    match &change.what {
        What::New(definition) => Some(&definition.json),
        What::Removed(pin) => Some(&pin.definition),
        What::Changed(..) | What::Renamed(..) | What::Same(_) | What::Rejected(_) => None,
    }
}

/// Pairs that are equal but for their name. More than one of a shape is no pair: nobody could say which.
fn equal(changes: &[Change], gone: &[usize], came: &[usize]) -> BTreeMap<usize, usize> {
    let shape = |place: &usize| -> Option<(Kind, Digest)> {
        let change = changes.get(*place)?;
        let json = definition(change)?;
        let mut edits = Edits::of(json);
        edits.replace(json.view().get(change.kind.key())?, &Json::null());
        Some((change.kind, Digest::of_json(&edits.apply())))
    };
    let by_shape = |places: &[usize]| {
        let mut shapes: BTreeMap<(Kind, Digest), Vec<usize>> = BTreeMap::new();
        for place in places {
            if let Some(shape) = shape(place) {
                shapes.entry(shape).or_default().push(*place);
            }
        }
        shapes
    };
    let came = by_shape(came);
    let single = |(shape, gone): (_, Vec<usize>)| match (gone.as_slice(), came.get(&shape).map(Vec::as_slice)) {
        ([gone], Some([came])) => Some((*gone, *came)),
        _ => None,
    };
    by_shape(gone).into_iter().filter_map(single).collect()
}

/// Pairs with most of their traits in common, the likest first.
fn alike(changes: &[Change], gone: &[usize], came: &[usize]) -> BTreeMap<usize, usize> {
    let traits = |place: &usize| Some((changes.get(*place)?.kind, traits(definition(changes.get(*place)?)?)));
    let came: Vec<_> = came.iter().filter_map(|place| Some((*place, traits(place)?))).collect();
    let mut scores = Vec::new();
    for old in gone {
        let Some((kind, had)) = traits(old).filter(|(_, had)| had.len() >= TRAITS) else { continue };
        for (new, (other, has)) in came.iter().filter(|(_, (other, has))| *other == kind && has.len() >= TRAITS) {
            debug_assert_eq!(*other, kind, "filtered");
            let common = had.intersection(has).count();
            let all = had.len().saturating_add(has.len()).saturating_sub(common);
            let score = common.saturating_mul(100).checked_div(all).unwrap_or_default();
            if score >= ALIKE {
                scores.push((score, *old, *new));
            }
        }
    }
    scores.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let (mut pairs, mut taken) = (BTreeMap::new(), BTreeSet::new());
    for (_, old, new) in scores {
        if !pairs.contains_key(&old) && taken.insert(new) {
            pairs.insert(old, new);
        }
    }
    pairs
}

/// What a definition is recognised by: its fields and their types, and the words of its description.
fn traits(json: &Json) -> BTreeSet<String> {
    let view = json.view();
    let text = |view: Option<View<'_>>| view.and_then(View::as_str).map(|text| text.to_lowercase()).unwrap_or_default();
    let short = |text: &str| text.chars().take(TRAIT_CHARS).collect::<String>();
    let description = text(view.get("description"));
    let words = description.split(|symbol: char| !symbol.is_alphanumeric()).filter(|word| word.chars().count() > 2);
    let words = words.map(|word| format!("word {}", short(word)));
    let fields = view.at(&["inputSchema", "properties"]).into_iter().flat_map(View::members);
    let fields = fields.map(|(name, field)| {
        let shape = field.get("type").map(View::text).unwrap_or_default();
        format!("field {} {}", short(&name), short(shape))
    });
    let arguments = view.get("arguments").into_iter().flat_map(View::items);
    let arguments = arguments.map(|argument| format!("argument {}", short(&text(argument.get("name")))));
    let mut traits = BTreeSet::new();
    for one in fields.chain(arguments).chain(words) {
        if traits.len() >= MAX_TRAITS {
            break;
        }
        traits.insert(one);
    }
    traits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traits_are_few_and_short_whatever_is_offered() {
        let words: String = (0..2000).map(|n| format!("word{n} ")).collect();
        let long = "k".repeat(4000);
        let text = format!(r#"{{"description":"{words}","inputSchema":{{"properties":{{"{long}":{{"type":"string"}}}}}}}}"#);
        let found = traits(&Json::parse(text.into()).expect("json"));
        assert_eq!(found.len(), MAX_TRAITS);
        assert!(found.iter().all(|one| one.len() <= 2 * TRAIT_CHARS + 8));
        assert!(found.iter().any(|one| one.starts_with("field kkk") && one.ends_with("\"string\"")));
    }
}
