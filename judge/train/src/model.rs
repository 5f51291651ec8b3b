//! Logistic regression with adaptive steps. One text has many sentences and one label: of an attack the worst
//! sentence learns, of an honest text every sentence does.

use anyhow::{Result, bail};
use bartizan_detect::learned::{HEADER, MAGIC, SIZE, crowd, digest};

use crate::report::Points;
use crate::rows::Doc;

const ROUNDS: usize = 15;
const STEP: f32 = 0.25;
/// Pulls every weight that is touched towards nothing.
const DECAY: f32 = 5e-4;
/// Honest sentences outnumber orders by far: one that is judged right with this margin teaches nothing more.
const SURE: f32 = 0.02;

pub(crate) struct Linear {
    weights: Vec<f32>,
    squares: Vec<f32>,
    bias: f32,
}

impl Linear {
    pub(crate) fn sentence(&self, places: &[u32]) -> f32 {
        let sum: f32 = places.iter().map(|at| self.weights.get(*at as usize).copied().unwrap_or(0.0)).sum();
        self.bias + sum / root(places.len())
    }

    /// The worst sentence of a text.
    pub(crate) fn score(&self, doc: &Doc) -> f32 {
        doc.seen.sentences.iter().map(|places| self.sentence(places)).fold(f32::NEG_INFINITY, f32::max) - crowd(doc.seen.length)
    }

    fn learn(&mut self, places: &[u32], target: f32, weight: f32) {
        let wrong = 1.0 / (1.0 + (-self.sentence(places)).exp()) - target;
        if wrong.abs() < SURE {
            return;
        }
        let slope = wrong * weight / root(places.len());
        for at in places {
            let at = *at as usize;
            let (Some(value), Some(square)) = (self.weights.get_mut(at), self.squares.get_mut(at)) else { continue };
            let slope = slope + DECAY * *value;
            *square += slope * slope;
            *value -= STEP * slope / (square.sqrt() + 1e-2);
        }
        self.bias -= 0.005 * wrong * weight;
    }

    /// The model as `crates/detect` reads it.
    pub(crate) fn file(&self, points: Points) -> Result<Vec<u8>> {
        let most = self.weights.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
        if !most.is_finite() || most == 0.0 {
            bail!("nothing was learned");
        }
        let scale = most / 127.0;
        let mut body = Vec::with_capacity(HEADER + SIZE);
        for number in [scale, self.bias, points.block, points.warn, points.agree_block, points.agree_warn] {
            body.extend(number.to_le_bytes());
        }
        #[expect(clippy::cast_possible_truncation, reason = "within -127 to 127")]
        body.extend(self.weights.iter().map(|weight| ((weight / scale).round() as i8).cast_unsigned()));
        Ok([MAGIC.as_slice(), &digest(&body).to_le_bytes(), &body].concat())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn root(count: usize) -> f32 {
    (count.max(1) as f32).sqrt()
}

/// A generator of its own, so that the same rows give the same model everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % end.max(1)
    }
}

/// Trains on the rows that count.
pub(crate) fn train(docs: &[&Doc]) -> Linear {
    let mut models = (1..=SEEDS).map(|seed| once(docs, seed));
    let mut mean = models.next().unwrap_or_else(|| once(docs, 0));
    for model in models {
        mean.bias += model.bias;
        mean.weights.iter_mut().zip(model.weights).for_each(|(sum, weight)| *sum += weight);
    }
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let count = SEEDS as f32;
    mean.bias /= count;
    mean.weights.iter_mut().for_each(|sum| *sum /= count);
    mean
}

/// Models in different orders of rows, of which the mean is taken: one alone is good or bad by chance.
const SEEDS: u64 = 5;

fn once(docs: &[&Doc], seed: u64) -> Linear {
    let mut model = Linear { weights: vec![0.0; SIZE], squares: vec![0.0; SIZE], bias: -2.0 };
    let mut order: Vec<&Doc> = docs.iter().copied().filter(|doc| doc.weight > 0.0).collect();
    let mut dice = Dice(0x2545_f491_4f6c_dd1d_u64.wrapping_mul(2 * seed + 1));
    for round in 0..ROUNDS {
        for i in (1..order.len()).rev() {
            order.swap(i, dice.below(i + 1));
        }
        // Which sentence of a long text is the order is known once short ones were learned.
        for doc in order.iter().filter(|doc| round > 0 || !doc.attack || doc.seen.sentences.len() <= 2) {
            if doc.attack {
                let worst = doc.seen.sentences.iter().max_by(|a, b| model.sentence(a).total_cmp(&model.sentence(b)));
                worst.into_iter().for_each(|places| model.learn(places, 1.0, doc.weight));
            } else {
                doc.seen.sentences.iter().for_each(|places| model.learn(places, 0.0, doc.weight));
            }
        }
    }
    model
}
