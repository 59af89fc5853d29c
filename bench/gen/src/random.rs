//! Chance from one seed: the same seed gives the same choices on every machine.

/// Spreads the bits of `z` over the whole word (splitmix64).
pub fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D049BB133111EB);
    z ^ (z >> 31)
}

/// A xoroshiro128+ generator.
#[derive(Debug, Clone)]
pub struct Random(u64, u64);

impl Random {
    /// A generator whose every draw follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed), mix(seed ^ 0xD1B54A32D192ED03) | 1)
    }

    /// 64 fresh bits.
    pub fn bits(&mut self) -> u64 {
        let (s0, mut s1) = (self.0, self.1);
        let drawn = s0.wrapping_add(s1);
        s1 ^= s0;
        self.0 = s0.rotate_left(24) ^ s1 ^ (s1 << 16);
        self.1 = s1.rotate_left(37);
        drawn
    }

    /// A fraction in `0.0..1.0`.
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in `0..n`; 0 for an empty range.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { ((self.bits() as u128 * n as u128) >> 64) as u64 }
    }

    /// True in `percent` of the draws.
    pub fn percent(&mut self, percent: f64) -> bool {
        self.fraction() * 100.0 < percent
    }

    /// An exponentially distributed number.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -(1.0 - self.fraction()).ln() * mean
    }

    /// An index of `weights`, each drawn in proportion to its weight.
    pub fn pick(&mut self, weights: &[f64]) -> usize {
        let total: f64 = weights.iter().sum();
        let mut rest = self.fraction() * total;
        for (i, weight) in weights.iter().enumerate() {
            if rest < *weight {
                return i;
            }
            rest -= weight;
        }
        weights.len() - 1
    }
}
