//! Sums of numbers, exact in whatever order they are added.
//!
//! Every float is a multiple of 2^-1074, and so is a sum of floats: it is kept whole, and rounded once, when it is asked
//! for. Integers are kept apart until then, so that a sum of them alone is an integer.

use super::{Value, ValueRef};

/// The least bit of a sum of floats stands for 2 to the minus this.
const POINT: usize = 1074;

/// Of 32 bits each, from the least on: as many as floats have, and 64 more for what they sum up to.
const LIMBS: usize = (POINT + 1024 + 64).div_ceil(32) + 1;

const LIMB: i64 = 1 << 32;

/// After so many additions the limbs hand on what they hold beyond 32 bits: each adds less than 2^33 to one.
const ADDITIONS_MAX: u32 = 1 << 28;

/// Bits of a float's fraction, with the one that is not written.
const FRACTION_BITS: usize = 53;

/// A sum of numbers.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    integers: i128,
    floats: Option<Box<FloatSum>>,
}

/// A sum of floats, in units of 2^-1074.
#[derive(Debug, Clone)]
struct FloatSum {
    limbs: [i64; LIMBS],
    additions: u32,
}

impl Sum {
    /// Adds a number; whatever else there is, is left out.
    pub fn add(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Int(number) => self.integers += i128::from(number),
            ValueRef::Float(number) => self.floats.get_or_insert_default().add(number),
            ValueRef::Null
            | ValueRef::Bool(_)
            | ValueRef::String(_)
            | ValueRef::Array(_)
            | ValueRef::Object(_) => {}
        }
    }

    /// The sum: an integer if only integers were added and it has 64 bits, otherwise the nearest float; null if that would
    /// be infinite.
    pub fn total(&self) -> Value {
        let Some(floats) = &self.floats else {
            return match i64::try_from(self.integers) {
                Ok(number) => Value::Int(number),
                Err(_) => Value::Float(self.integers as f64),
            };
        };
        let mut both = floats.clone();
        both.add_at(POINT, self.integers.unsigned_abs(), self.integers < 0);
        both.rounded().map_or(Value::Null, Value::Float)
    }
}

impl Default for FloatSum {
    fn default() -> Self {
        Self {
            limbs: [0; LIMBS],
            additions: 0,
        }
    }
}

impl FloatSum {
    fn add(&mut self, number: f64) {
        const FRACTION: u64 = (1 << (FRACTION_BITS - 1)) - 1;
        let bits = number.to_bits();
        let fraction = bits & FRACTION;
        let exponent = (bits >> (FRACTION_BITS - 1)) & 0x7FF;
        debug_assert!(exponent < 0x7FF, "JSON has neither infinity nor NaN");
        // The least floats have the exponent of those above them, and no bit that is not written.
        let (fraction, exponent) = match exponent {
            0 => (fraction, 0),
            _ => (fraction | (FRACTION + 1), exponent - 1),
        };
        let exponent = usize::try_from(exponent).expect("it has eleven bits");
        self.add_at(exponent, fraction.into(), number.is_sign_negative());
    }

    /// Adds, or subtracts, a number whose least bit is this bit of the sum.
    fn add_at(&mut self, bit: usize, number: u128, is_negative: bool) {
        let sign = if is_negative { -1 } else { 1 };
        for part in 0..4 {
            let limb = bit / 32 + part;
            let of_part = (number >> (32 * part)) & 0xFFFF_FFFF;
            if of_part == 0 {
                continue;
            }
            let shifted = i128::try_from(of_part << (bit % 32)).expect("it has 63 bits");
            self.limbs[limb] += sign * low(shifted);
            self.limbs[limb + 1] += sign * low(shifted >> 32);
        }
        self.additions += 1;
        if self.additions == ADDITIONS_MAX {
            self.carry();
        }
    }

    /// Leaves 32 bits in each limb but the last, which has the sign.
    fn carry(&mut self) {
        for limb in 0..LIMBS - 1 {
            let carried = self.limbs[limb].div_euclid(LIMB);
            self.limbs[limb] -= carried * LIMB;
            self.limbs[limb + 1] += carried;
        }
        self.additions = 0;
    }

    /// The nearest float, of two the even one; `None` if it is infinite.
    fn rounded(mut self) -> Option<f64> {
        self.carry();
        let is_negative = self.limbs[LIMBS - 1] < 0;
        if is_negative {
            self.limbs.iter_mut().for_each(|limb| *limb = -*limb);
            self.carry();
        }
        let length = self.length();
        let beyond = length.saturating_sub(FRACTION_BITS);
        let mut fraction = self.bits_from(beyond);
        if beyond > 0 && self.bit(beyond - 1) {
            let is_more_than_half = (0..beyond - 1).any(|bit| self.bit(bit));
            fraction += u64::from(is_more_than_half || fraction & 1 == 1);
        }
        // The highest bit of the fraction adds one to the exponent, where it is not written.
        let number = f64::from_bits(((beyond as u64) << (FRACTION_BITS - 1)) + fraction);
        let is_finite = length <= POINT + 1024 && number.is_finite();
        is_finite.then_some(if is_negative { -number } else { number })
    }

    /// How many bits it has, if it is positive.
    fn length(&self) -> usize {
        let highest = self.limbs.iter().rposition(|limb| *limb != 0);
        let bits = |limb: usize| 32 * limb + 64 - self.limbs[limb].leading_zeros() as usize;
        highest.map_or(0, bits)
    }

    fn bit(&self, bit: usize) -> bool {
        (self.limbs[bit / 32] >> (bit % 32)) & 1 == 1
    }

    /// A fraction from this bit on.
    fn bits_from(&self, bit: usize) -> u64 {
        let bits = (0..FRACTION_BITS).filter(|at| bit + at < 32 * LIMBS);
        bits.fold(0, |bits, at| bits | u64::from(self.bit(bit + at)) << at)
    }
}

/// The 32 lowest bits.
fn low(number: i128) -> i64 {
    i64::try_from(number & 0xFFFF_FFFF).expect("it has 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total(values: &[Value]) -> Value {
        let mut sum = Sum::default();
        values.iter().for_each(|value| sum.add(value.borrow()));
        sum.total()
    }

    fn floats(numbers: &[f64]) -> Value {
        let numbers: Vec<Value> = numbers.iter().copied().map(Value::Float).collect();
        total(&numbers)
    }

    #[test]
    fn a_sum_of_integers_is_one_as_long_as_it_has_64_bits() {
        let int = Value::Int;
        assert_eq!(total(&[]), int(0));
        assert_eq!(
            total(&[int(i64::MAX), int(i64::MAX), int(-i64::MAX)]),
            int(i64::MAX)
        );
        let beyond = total(&[int(i64::MAX), int(1)]);
        assert_eq!(beyond, Value::Float(9_223_372_036_854_775_808.0));
        let with_others = [
            Value::Null,
            int(2),
            Value::from("3"),
            true.into(),
            vec![int(4)].into(),
        ];
        assert_eq!(total(&with_others), int(2));
    }

    #[test]
    fn a_sum_of_floats_is_rounded_once() {
        for (numbers, sum) in [
            (&[0.0][..], 0.0),
            (&[-0.0], 0.0),
            (&[1e16, 1.0, -1e16], 1.0),
            (&[0.1; 10], 1.0),
            (&[1e308, 1e308, -1e308], 1e308),
            (&[5e-324, 5e-324, 5e-324], 1.5e-323),
            (&[f64::MIN_POSITIVE, -5e-324], 2.225_073_858_507_201e-308),
            (&[f64::MAX, -f64::MAX, -2.5], -2.5),
            // Half way, to the even one; and a little more than half way.
            (&[1.0, f64::EPSILON / 2.0], 1.0),
            (&[1.0, f64::EPSILON / 2.0, 5e-324], 1.0 + f64::EPSILON),
            (&[-1.0, -f64::EPSILON / 2.0, -5e-324], -1.0 - f64::EPSILON),
            (&[f64::MAX, f64::MAX, -f64::MAX, -f64::MAX, 5e-324], 5e-324),
        ] {
            assert_eq!(floats(numbers), Value::Float(sum), "{numbers:?}");
        }
        let mixed = [
            Value::Int(i64::MAX),
            Value::Float(-1.0),
            Value::Int(-i64::MAX),
        ];
        assert_eq!(total(&mixed), Value::Float(-1.0));
    }

    #[test]
    fn what_no_float_can_be_is_null() {
        assert_eq!(floats(&[f64::MAX, f64::MAX]), Value::Null);
        assert_eq!(floats(&[-f64::MAX, -1e300]), Value::Null);
        assert_eq!(floats(&[f64::MAX, 1e290]), Value::Float(f64::MAX));
    }

    #[test]
    fn limbs_hand_on_what_they_cannot_hold() {
        let mut sum = FloatSum::default();
        for _ in 0..3 {
            sum.add(-1.5);
            sum.additions = ADDITIONS_MAX - 1;
            sum.add(f64::MAX);
            assert_eq!(sum.additions, 0);
            sum.add(-f64::MAX);
        }
        assert_eq!(sum.rounded(), Some(-4.5));
    }

    proptest! {
        #[test]
        fn the_order_makes_no_difference(
            (numbers, shuffled) in prop::collection::vec(any::<f64>(), 0..20).prop_map(|numbers| {
                numbers.into_iter().filter(|number| number.is_finite()).collect::<Vec<f64>>()
            }).prop_flat_map(|numbers| (Just(numbers.clone()), Just(numbers).prop_shuffle())),
        ) {
            prop_assert_eq!(floats(&numbers), floats(&shuffled));
        }

        #[test]
        fn two_are_added_as_the_processor_does(a in any::<f64>(), b in any::<f64>()) {
            prop_assume!((a + b).is_finite());
            prop_assert_eq!(floats(&[a, b]), Value::Float(a + b));
        }

        #[test]
        fn small_parts_are_added_as_integers_are(parts in prop::collection::vec(-1_i64 << 40..1 << 40, 0..30)) {
            let thousandths: Vec<f64> = parts.iter().map(|part| *part as f64 / 1024.0).collect();
            let sum: i64 = parts.iter().sum();
            prop_assume!(!parts.is_empty());
            prop_assert_eq!(floats(&thousandths), Value::Float(sum as f64 / 1024.0));
        }
    }
}
