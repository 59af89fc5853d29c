//! What rows of doubles come to: their sum, how far they spread, and how far they do so together.
//!
//! The squares are those of the distances from the mean, and two parts are put together by the distance of their means (Chan,
//! Golub and LeVeque): equal numbers spread by nothing, and nothing is negative.

use super::Part;

/// How many numbers there are, and their sum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum {
    count: f64,
    sum: f64,
}

impl Sum {
    /// What the aggregate `name` answers.
    pub(super) fn answer(name: &str) -> Option<fn(Self) -> Option<f64>> {
        Some(match name {
            "sum" => |of| Some(of.sum),
            "avg" => |of| Some(of.sum / of.count),
            _ => return None,
        })
    }
}

impl Part for Sum {
    fn of([number, _]: [f64; 2]) -> Self {
        Self { count: 1.0, sum: number }
    }

    fn and(self, later: Self) -> Self {
        Self { count: self.count + later.count, sum: self.sum + later.sum }
    }
}

/// How far numbers spread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    /// What the aggregate `name` answers.
    pub(super) fn answer(name: &str) -> Option<fn(Self) -> Option<f64>> {
        Some(match name {
            "var" => Self::sample,
            "var_pop" => |of| Some(of.population()),
            "stddev" => |of| of.sample().map(f64::sqrt),
            "stddev_pop" => |of| Some(of.population().sqrt()),
            _ => return None,
        })
    }

    fn population(self) -> f64 {
        self.squares / self.count
    }

    fn sample(self) -> Option<f64> {
        (self.count > 1.0).then(|| self.squares / (self.count - 1.0))
    }
}

impl Part for Spread {
    fn of([number, _]: [f64; 2]) -> Self {
        Self { count: 1.0, mean: number, squares: nothing(number) }
    }

    fn and(self, later: Self) -> Self {
        let count = self.count + later.count;
        let apart = later.mean - self.mean;
        let mean = self.mean + apart * (later.count / count);
        let squares = self.squares + later.squares + apart * apart * (self.count * (later.count / count));
        Self { count, mean, squares }
    }
}

/// How far two columns spread, together and each by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pairs {
    first: Spread,
    second: Spread,
    products: f64,
}

impl Pairs {
    /// What the aggregate `name` answers; `regr_…` is given y first, then x.
    pub(super) fn answer(name: &str) -> Option<fn(Self) -> Option<f64>> {
        Some(match name {
            "covar_pop" => |of| Some(of.products / of.first.count),
            "covar_samp" => Self::covariance,
            "corr" => Self::correlation,
            "regr_slope" => |of| of.slope(),
            "regr_intercept" => |of| of.slope().map(|slope| of.first.mean - slope * of.second.mean),
            "regr_r2" => Self::determination,
            "regr_avgx" => |of| Some(of.second.mean),
            "regr_avgy" => |of| Some(of.first.mean),
            "regr_sxx" => |of| Some(of.second.squares),
            "regr_syy" => |of| Some(of.first.squares),
            "regr_sxy" => |of| Some(of.products),
            _ => return None,
        })
    }

    fn covariance(self) -> Option<f64> {
        (self.first.count > 1.0).then(|| self.products / (self.first.count - 1.0))
    }

    /// As the engine has it of all rows: null where one of the columns has a NaN, or is the same everywhere.
    fn correlation(self) -> Option<f64> {
        match (self.first.mean.is_nan(), self.second.mean.is_nan()) {
            (true, true) => return Some(f64::NAN),
            (true, false) | (false, true) => return None,
            (false, false) => {}
        }
        let differ = self.first.count > 1.0 && self.first.squares != 0.0 && self.second.squares != 0.0;
        differ.then(|| self.products / (self.first.squares * self.second.squares).sqrt())
    }

    fn slope(self) -> Option<f64> {
        let differs = self.second.count > 1.0 && self.second.squares != 0.0;
        differs.then(|| self.products / self.second.squares)
    }

    fn determination(self) -> Option<f64> {
        let differs = self.second.count > 1.0 && self.second.squares != 0.0 && self.first.squares != 0.0;
        differs.then(|| self.products * self.products / (self.first.squares * self.second.squares))
    }
}

impl Part for Pairs {
    fn of([first, second]: [f64; 2]) -> Self {
        let products = nothing(first) + nothing(second);
        Self { first: Spread::of([first; 2]), second: Spread::of([second; 2]), products }
    }

    fn and(self, later: Self) -> Self {
        let share = self.first.count * (later.first.count / (self.first.count + later.first.count));
        let apart = [later.first.mean - self.first.mean, later.second.mean - self.second.mean];
        Self {
            first: self.first.and(later.first),
            second: self.second.and(later.second),
            products: self.products + later.products + apart[0] * apart[1] * share,
        }
    }
}

/// How far `number` is from itself: what is not finite is nowhere.
fn nothing(number: f64) -> f64 {
    if number.is_finite() { 0.0 } else { f64::NAN }
}
