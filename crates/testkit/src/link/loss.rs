//! Which packets vanish.

use wire::Random;

/// A loss model. Probabilities are 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// Nothing is lost.
    None,
    /// Every packet is lost with the same probability, whatever happened before.
    Random {
        /// Share of packets lost.
        probability: f64,
    },
    /// Two states, good and bad, each with its own loss; the state may change before each packet
    /// (Gilbert 1960, Elliott 1963).
    GilbertElliott {
        /// Probability to turn from good to bad.
        good_to_bad: f64,
        /// Probability to turn from bad to good; 1 / this is the mean stay in the bad state, in packets.
        bad_to_good: f64,
        /// Loss in the good state.
        loss_good: f64,
        /// Loss in the bad state.
        loss_bad: f64,
    },
}

impl Loss {
    /// Whole bursts: mean `share` of the packets lost, in runs of `burst_packets` (at least 1) on average.
    ///
    /// The bad state loses everything and lasts `burst_packets`; the good state loses nothing.
    pub fn bursts(share: f64, burst_packets: f64) -> Self {
        let share = share.clamp(0.0, 0.99);
        let bad_to_good = 1.0 / burst_packets.max(1.0);
        // Stationary share of the bad state: p / (p + r) = share.
        let good_to_bad = (bad_to_good * share / (1.0 - share)).min(1.0);
        Self::GilbertElliott { good_to_bad, bad_to_good, loss_good: 0.0, loss_bad: 1.0 }
    }
}

/// A loss model with its state.
#[derive(Debug)]
pub(super) struct LossState {
    loss: Loss,
    bad: bool,
}

impl LossState {
    pub(super) fn new(loss: Loss) -> Self {
        Self { loss, bad: false }
    }

    /// Decides on the next packet.
    pub(super) fn takes_next(&mut self, random: &mut Random) -> bool {
        match self.loss {
            Loss::None => false,
            Loss::Random { probability } => random.chance(probability),
            Loss::GilbertElliott { good_to_bad, bad_to_good, loss_good, loss_bad } => {
                if random.chance(if self.bad { bad_to_good } else { good_to_bad }) {
                    self.bad = !self.bad;
                }
                random.chance(if self.bad { loss_bad } else { loss_good })
            }
        }
    }
}
