//! Numbers of several rounds, and how they are written.

use anyhow::Result;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// The middle one.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Least, middle and greatest of some rounds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of these values.
    pub(crate) fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        Self {
            min: values.clone().fold(f64::NAN, f64::min),
            max: values.clone().fold(f64::NAN, f64::max),
            median: median(values),
        }
    }
}

/// The middle one, and behind it the least and the greatest if they differ.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, min, max] = [self.median, self.min, self.max].map(rounded);
        if min == max { f.write_str(&median) } else { write!(f, "{median} ({min} … {max})") }
    }
}

/// A length in milliseconds.
pub(crate) fn millis(length: Duration) -> f64 {
    length.as_secs_f64() * 1000.0
}

/// A count as a number to calculate with.
pub(crate) fn float(count: u64) -> Result<f64> {
    const ABOVE: f64 = 4_294_967_296.0;
    let (above, below) = (count >> 32, count & u64::from(u32::MAX));
    Ok(f64::from(u32::try_from(above)?) * ABOVE + f64::from(u32::try_from(below)?))
}

/// A number with its digits in groups of three: 1 000 000.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A measured number as precise as it is: below ten with one decimal.
pub(crate) fn rounded(number: f64) -> String {
    if number < 10.0 { format!("{number:.1}") } else { grouped(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        for (number, text) in
            [(0.0, "0"), (999.4, "999"), (1000.0, "1 000"), (1_234_567.0, "1 234 567")]
        {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn small_numbers_keep_a_decimal() {
        assert_eq!((rounded(1.26), rounded(12_345.6)), ("1.3".to_owned(), "12 346".to_owned()));
    }

    #[test]
    fn a_spread_is_least_middle_and_greatest() {
        let spread = Spread::of([3.0, 1.0, 2.0].into_iter());
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.0, 3.0));
        assert_eq!(spread.to_string(), "2.0 (1.0 … 3.0)");
    }

    #[test]
    fn a_spread_of_one_is_one_number() {
        assert_eq!(Spread::of([20.0].into_iter()).to_string(), "20");
    }
}
