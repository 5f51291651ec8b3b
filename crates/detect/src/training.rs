//! What the trainer needs and nobody else: the features of a text as the classifier sees them, and what the rules
//! say of it without the classifier.

use crate::finding::Weight;
use crate::fold::{fold, head};
use crate::hidden::Setting;
use crate::{learned, text, vocabulary};

/// A text as the classifier sees it.
#[derive(Debug, Default)]
pub struct Seen {
    /// For each sentence the places of its features.
    pub sentences: Vec<Vec<u32>>,
    /// The weightiest thing that is seen without reading.
    pub sights: Option<Weight>,
    /// The weightiest order that the rules find.
    pub rules: Option<Weight>,
    /// How long the text is.
    pub length: usize,
}

/// Longer texts are cut: one log must not outweigh a thousand tool results.
const MAX: usize = 64 * 1024;

/// Looks at one text.
#[must_use]
pub fn look(text: &str, setting: Setting) -> Seen {
    let text = head(text, MAX);
    let (sights, rules) = text::rules(text, setting);
    Seen { sentences: sentences(text), sights, rules, length: text.len() }
}

fn sentences(text: &str) -> Vec<Vec<u32>> {
    let folded = fold(text);
    let mut hits = vocabulary::hits(&folded).into_iter().peekable();
    let (mut end, mut before, mut all) = (0, 0, Vec::new());
    for sentence in folded.split('\n') {
        end += sentence.len() + 1;
        let mut ideas = 0;
        while let Some(hit) = hits.next_if(|hit| hit.start < end) {
            ideas |= hit.idea;
        }
        let mut places = Vec::new();
        learned::features(sentence, ideas, before, &mut |at| places.push(u32::try_from(at).unwrap_or(0)));
        all.push(places);
        before = ideas;
    }
    all
}
