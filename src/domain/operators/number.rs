//! `$inc` and `$mul`: arithmetic that fails rather than overflow, lose its kind or become infinite.

use crate::value::Value;

/// A number as an operand, or as the current value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Multiply,
}

impl Number {
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Int(number) => Some(Self::Int(*number)),
            Value::Float(number) => Some(Self::Float(*number)),
            Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        }
    }

    fn to_value(self) -> Value {
        match self {
            Self::Int(number) => Value::Int(number),
            Self::Float(number) => Value::Float(number),
        }
    }

    fn to_float(self) -> f64 {
        match self {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a float beside an integer makes a float, as in MongoDB"
            )]
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

impl Arithmetic {
    /// The result for the current value; `None` is a missing one, which counts as zero.
    pub(super) fn apply(self, current: Option<&Value>, operand: Number) -> Result<Value, String> {
        let current = match current {
            // Not zero plus the operand: -0.0 would lose its sign.
            None if self == Self::Add => return Ok(operand.to_value()),
            None => Number::Int(0),
            Some(value) => Number::of(value)
                .ok_or_else(|| format!("needs a number, found {}", value.kind()))?,
        };
        match (current, operand) {
            (Number::Int(a), Number::Int(b)) => {
                let result = match self {
                    Self::Add => a.checked_add(b),
                    Self::Multiply => a.checked_mul(b),
                };
                let beyond = || "the result is no integer of 64 bits".to_owned();
                result.map(Value::Int).ok_or_else(beyond)
            }
            (a, b) => {
                let (a, b) = (a.to_float(), b.to_float());
                let result = match self {
                    Self::Add => a + b,
                    Self::Multiply => a * b,
                };
                let finite = result.is_finite().then_some(Value::Float(result));
                finite.ok_or_else(|| "the result is too large for a float".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_kept_and_mixtures_are_floats() {
        let (int, float) = (Number::Int, Number::Float);
        for (current, arithmetic, operand, result) in [
            (Value::Int(2), Arithmetic::Add, int(3), Value::Int(5)),
            (Value::Int(2), Arithmetic::Multiply, int(-3), Value::Int(-6)),
            (
                Value::Int(2),
                Arithmetic::Add,
                float(0.5),
                Value::Float(2.5),
            ),
            (
                Value::Float(2.0),
                Arithmetic::Multiply,
                int(3),
                Value::Float(6.0),
            ),
            (
                Value::Int(i64::MAX),
                Arithmetic::Add,
                int(0),
                Value::Int(i64::MAX),
            ),
        ] {
            assert_eq!(arithmetic.apply(Some(&current), operand), Ok(result));
        }
    }

    #[test]
    fn what_is_missing_is_zero_of_the_operands_kind() {
        for (arithmetic, operand, result) in [
            (Arithmetic::Add, Number::Int(7), Value::Int(7)),
            (Arithmetic::Add, Number::Float(0.5), Value::Float(0.5)),
            (Arithmetic::Multiply, Number::Int(7), Value::Int(0)),
            (Arithmetic::Multiply, Number::Float(7.5), Value::Float(0.0)),
        ] {
            assert_eq!(arithmetic.apply(None, operand), Ok(result));
        }
    }

    #[test]
    fn no_result_wraps_and_none_is_infinite() {
        for (current, arithmetic, operand) in [
            (Value::Int(i64::MAX), Arithmetic::Add, Number::Int(1)),
            (Value::Int(i64::MIN), Arithmetic::Add, Number::Int(-1)),
            (Value::Int(i64::MIN), Arithmetic::Multiply, Number::Int(-1)),
            (Value::Float(1e308), Arithmetic::Multiply, Number::Int(10)),
            (
                Value::Float(-1.7e308),
                Arithmetic::Add,
                Number::Float(-1e308),
            ),
        ] {
            assert!(
                arithmetic.apply(Some(&current), operand).is_err(),
                "{current:?}"
            );
        }
    }
}
