//! Variation of delay.

use crate::random::Random;
use std::time::Duration;

/// Extra delay, drawn for each packet. It is never negative: no packet is earlier than the delay of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Up to this, every value as likely.
    Uniform(Duration),
    /// A Gaussian distribution with this standard deviation σ, cut at ± 3 σ, around 3 σ (RFC 8868 section 3.3). Packets
    /// that keep their order are at least as far apart as the bottleneck needs to send them.
    Gaussian(Duration),
}

impl Jitter {
    /// Every packet takes the same time.
    pub const NONE: Self = Self::Uniform(Duration::ZERO);
    /// Where the Gaussian distribution is cut, in standard deviations.
    const CUT: f64 = 3.0;

    /// Whether there is none.
    pub const fn is_none(self) -> bool {
        let (Self::Uniform(time) | Self::Gaussian(time)) = self;
        time.is_zero()
    }

    pub(crate) fn draw(self, random: &mut Random) -> Duration {
        match self {
            Self::Uniform(most) => most.mul_f64(random.fraction()),
            Self::Gaussian(sigma) => sigma.mul_f64(Self::CUT + gaussian(random).clamp(-Self::CUT, Self::CUT)),
        }
    }

    /// Whether packets keep a distance.
    pub(crate) const fn spaces(self) -> bool {
        matches!(self, Self::Gaussian(_))
    }
}

/// The sum of twelve uniform numbers, which differs from a Gaussian one by less than 0.3 % in probability. Logarithms
/// and cosines, from which exact ones are made, differ from machine to machine.
fn gaussian(random: &mut Random) -> f64 {
    (0..12).map(|_| random.fraction()).sum::<f64>() - 6.0
}
