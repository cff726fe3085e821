//! Integers of floats: within 64 signed bits, or not at all.

/// The float without its fraction; `None` if that does not fit 64 signed bits.
pub(crate) fn truncated(number: f64) -> Option<i64> {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    let fits = (-TWO_TO_63..TWO_TO_63).contains(&number);
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    fits.then_some(number as i64)
}

/// The integer that equals the float, if one does.
pub(crate) fn whole(number: f64) -> Option<i64> {
    truncated(number).filter(|_| number.fract() == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_64_bits_are_exact() {
        const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
        assert_eq!(truncated(-TWO_TO_63), Some(i64::MIN));
        assert_eq!(truncated(TWO_TO_63), None);
        assert_eq!(truncated(f64::NAN), None);
        assert_eq!((truncated(-1.5), whole(-1.5)), (Some(-1), None));
        assert_eq!((whole(-0.0), whole(2.0)), (Some(0), Some(2)));
    }
}
