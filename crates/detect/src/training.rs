//! What the trainer needs and nobody else: the features of a text as the classifier sees them, and what the rules
//! say of it without the classifier.

use crate::finding::Weight;
use crate::fold::{fold, head};
use crate::hidden::Setting;
use crate::{learned, sift, text, words};

/// A text as the classifier sees it.
#[derive(Debug, Default)]
pub struct Seen {
    /// For each sentence the places of its features.
    pub sentences: Vec<Vec<u32>>,
    /// The weightiest thing that is seen without reading.
    pub sights: Option<Weight>,
    /// The weightiest order that the rules find.
    pub rules: Option<Weight>,
    /// For each piece of the first look its words.
    pub pieces: Vec<Vec<u32>>,
    /// The sentences of each piece, as `sentences`.
    pub inside: Vec<Vec<Vec<u32>>>,
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
    let small = |word: usize| u32::try_from(word).unwrap_or(0);
    // Other scripts are read whatever their words are.
    let mut pieces = sift::pieces(text);
    pieces.retain(|(piece, _)| text.get(piece.start..piece.end).is_some_and(str::is_ascii));
    let words = pieces.iter().map(|(_, words)| words.iter().copied().map(small).collect()).collect();
    let inside = pieces.iter().map(|(piece, _)| sentences(text.get(piece.start..piece.end).unwrap_or_default())).collect();
    Seen { sentences: sentences(text), sights, rules, pieces: words, inside, length: text.len() }
}

fn sentences(text: &str) -> Vec<Vec<u32>> {
    let folded = fold(text);
    let mut hits = words::hits(&folded).into_iter().peekable();
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
