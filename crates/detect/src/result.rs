//! Texts of live traffic: what a tool returned, and where in it something was noticed.

use std::cell::RefCell;
use std::ops::Range;

use crate::finding::{Class, Finding, Weight};
use crate::hidden::{self, Setting};
use crate::sift::{Piece, Sift};
use crate::text;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The least that is told.
    pub least: Weight,
}

impl Default for Options {
    fn default() -> Self {
        Self { least: Weight::Warn }
    }
}

/// Something that was noticed, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spotted {
    /// What it is; the place is empty.
    pub finding: Finding,
    /// The bytes of the text that it is about: whole characters, and never the whole of a long text.
    pub span: Range<usize>,
}

/// Everything that was noticed about a text, in the order of the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings(pub Vec<Spotted>);

impl Findings {
    /// The weightiest finding.
    #[must_use]
    pub fn weight(&self) -> Option<Weight> {
        self.0.iter().map(|spotted| spotted.finding.weight).max()
    }

    fn add(&mut self, finding: Finding, span: Range<usize>) {
        let known = |spotted: &&mut Spotted| spotted.finding.class == finding.class && spotted.span.end >= span.start;
        match self.0.iter_mut().rev().take(Class::ALL.len()).find(known) {
            Some(spotted) => {
                spotted.span = spotted.span.start.min(span.start)..spotted.span.end.max(span.end);
                if spotted.finding.weight < finding.weight {
                    spotted.finding = finding;
                }
            }
            None => self.0.push(Spotted { finding, span }),
        }
    }
}

/// Pieces that are read together are no longer than this, unless one piece is.
const TOGETHER: usize = 4096;

thread_local! {
    /// The memory of the first look, one for each thread.
    static SIFT: RefCell<Sift> = RefCell::default();
}

/// Looks at what a tool returned. Sentences of which nothing would be said cost one look and no memory; the others are
/// read in earnest, alone and with the one before, as an order may be in two sentences.
#[must_use]
pub fn scan_result(text: &str, options: Options) -> Findings {
    let mut found = Findings::default();
    let (mut before, mut open) = (0..0, None::<Range<usize>>);
    let mut take = |Piece { place, hot }| {
        if hot {
            read(text, place.clone(), &mut found);
        }
        match open.take() {
            Some(range) if hot && place.end - range.start <= TOGETHER => open = Some(range.start..place.end),
            closed => {
                closed.into_iter().for_each(|range| read(text, range, &mut found));
                open = hot.then_some(before.start.min(place.start)..place.end);
            }
        }
        before = place;
    };
    SIFT.with_borrow_mut(|sift| sift.look(text, &mut take));
    open.into_iter().for_each(|range| read(text, range, &mut found));
    for sight in hidden::look(text, Setting::Content).seen {
        let end = text.ceil_char_boundary((sight.at + 1).min(text.len()));
        found.add(Finding::new(sight.class, sight.weight, "", text.get(sight.at..).unwrap_or_default()), sight.at..end);
    }
    text::veiled(text, |finding, span| found.add(finding, span));
    found.0.retain(|spotted| spotted.finding.weight >= options.least);
    found.0.sort_by_key(|spotted| spotted.span.start);
    found
}

/// Reads a few pieces in earnest.
fn read(text: &str, range: Range<usize>, found: &mut Findings) {
    let range = text.floor_char_boundary(range.start)..text.ceil_char_boundary(range.end);
    let part = text.get(range.clone()).unwrap_or_default();
    for finding in text::part(part, text.len()).findings {
        found.add(finding, range.clone());
    }
}
