//! The first look: for each word how much it makes a piece worth reading. Learned from what the classifier says of
//! each piece; no heat is negative.

use bartizan_detect::learned::{HEATS, HOT};

use crate::model::Linear;
use crate::report::Points;
use crate::rows::Doc;

const ROUNDS: usize = 8;
/// So much below the lowest score that leads to anything a piece is still read.
const MARGIN: f32 = 0.0;
/// Of the pieces that lead to something so many are read.
const KEPT: f32 = 0.97;
/// Cold pieces outnumber hot ones.
const HOT_COUNTS: f32 = 10.0;

struct Piece<'a> {
    words: &'a [u32],
    hot: bool,
    ordinary: bool,
}

/// Heats for the file of the model.
pub(crate) fn heats(docs: &[Doc], model: &Linear, points: Points) -> Vec<u8> {
    let least = points.warn.min(points.agree_warn) - MARGIN;
    let mut pieces = Vec::new();
    for doc in docs {
        for (words, inside) in doc.seen.pieces.iter().zip(&doc.seen.inside) {
            let worst = inside.iter().map(|places| model.sentence(places)).fold(f32::NEG_INFINITY, f32::max);
            pieces.push(Piece { words, hot: worst >= least, ordinary: doc.slice == "ordinary output" });
        }
    }
    let mut heats = vec![0.0_f32; HEATS];
    let mut squares = vec![0.0_f32; HEATS];
    let mut bias = -3.0_f32;
    let sum = |heats: &[f32], words: &[u32]| words.iter().map(|word| heats.get(*word as usize).copied().unwrap_or(0.0)).sum::<f32>();
    for _ in 0..ROUNDS {
        for piece in &pieces {
            let target = if piece.hot { 1.0 } else { 0.0 };
            let weight = if piece.hot { HOT_COUNTS } else { 1.0 };
            let wrong = (1.0 / (1.0 + (-bias - sum(&heats, piece.words)).exp()) - target) * weight;
            for word in piece.words {
                let word = *word as usize;
                let (Some(heat), Some(square)) = (heats.get_mut(word), squares.get_mut(word)) else { continue };
                *square += wrong * wrong;
                *heat = (*heat - 0.2 * wrong / (square.sqrt() + 1e-2) - 1e-3).max(0.0);
            }
            bias = (bias - 0.002 * wrong).min(-1.0);
        }
    }
    scaled(&heats, &pieces, &sum)
}

/// Bytes, so that the wanted share of hot pieces comes to [`HOT`].
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "clamped to a byte")]
fn scaled(heats: &[f32], pieces: &[Piece<'_>], sum: &impl Fn(&[f32], &[u32]) -> f32) -> Vec<u8> {
    let mut sums: Vec<f32> = pieces.iter().filter(|piece| piece.hot).map(|piece| sum(heats, piece.words)).collect();
    sums.sort_by(f32::total_cmp);
    let least = sums.get(((1.0 - KEPT) * sums.len() as f32) as usize).copied().unwrap_or(1.0).max(0.05);
    let scaled: Vec<f32> = heats.iter().map(|heat| (heat * HOT as f32 / least * 1.02).clamp(0.0, HOT as f32).round()).collect();
    let read = |hot: bool, ordinary: bool| {
        let all = pieces.iter().filter(|piece| piece.hot == hot && (piece.ordinary || !ordinary));
        let (count, read) =
            all.fold((0, 0), |(count, read), piece| (count + 1, read + usize::from(sum(&scaled, piece.words) >= HOT as f32)));
        format!("{read} of {count}")
    };
    eprintln!(
        "the first look reads {} pieces that lead to something, {} others, {} of ordinary output",
        read(true, false),
        read(false, false),
        read(false, true)
    );
    scaled.iter().map(|heat| *heat as u8).collect()
}
