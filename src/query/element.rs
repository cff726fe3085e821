//! Conditions on the elements of an array: the operands of `$pull`.
//!
//! A document selects elements with such fields; operators select elements for which they hold; any other value
//! selects elements that equal it.

use std::sync::Arc;

use super::parse;
use super::path::{FieldPath, Lookup, Segment};
use super::tree::ElementTest;
use super::verdict::all;
use crate::limits;
use crate::value::{Invalid, Steps, TooCostly, Value, ValueRef, compare_within};

/// Parses the conditions of one request, which are bounded together.
#[derive(Debug, Default)]
pub struct Conditions {
    patterns: usize,
}

impl Conditions {
    /// Parses the condition at the path `at`.
    ///
    /// # Errors
    /// The first offender, with its path.
    pub fn read(&mut self, operand: &Value, at: &str) -> Result<ElementCondition, Invalid> {
        let (test, patterns) = parse::element(operand, at)?;
        self.patterns += patterns;
        if self.patterns > limits::PULL_PATTERNS_MAX {
            let most = limits::PULL_PATTERNS_MAX;
            let reason = format!("more than {most} patterns in the conditions of one request");
            return Err(Invalid::new(at, reason));
        }
        Ok(ElementCondition {
            test: Arc::new(test),
            patterns,
        })
    }
}

/// A condition on one element, parsed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ElementCondition {
    test: Arc<ElementTest>,
    patterns: usize,
}

impl ElementCondition {
    /// Whether the element is selected.
    ///
    /// # Errors
    /// If the steps run out before.
    pub fn holds(&self, element: &Value, steps: &Steps) -> Result<bool, TooCostly> {
        steps.take(1)?;
        match &*self.test {
            ElementTest::Equal(value) => {
                let order = compare_within(value.borrow(), element.borrow(), steps)?;
                Ok(order.is_eq())
            }
            ElementTest::Fields(node) => match element.as_object() {
                Some(document) => node.matches(document, steps),
                None => Ok(false),
            },
            ElementTest::Operators(clauses) => {
                let record = OnlyField(element);
                let path = FieldPath::to_element();
                all(clauses, |clause| clause.holds(&path, &record, steps))
            }
        }
    }

    /// Roughly the bytes of memory that it takes beside those of its operand: compiled patterns.
    pub fn approx_bytes(&self) -> usize {
        self.patterns * limits::REGEX_COMPILED_BYTES_MAX
    }
}

/// An element as the only field of a record: so operators reach into it if it is an array.
struct OnlyField<'a>(&'a Value);

impl Lookup for OnlyField<'_> {
    fn named(&self, _: &Segment) -> Option<ValueRef<'_>> {
        Some(self.0.borrow())
    }

    fn names(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<ElementCondition, Invalid> {
        let operand: Value = serde_json::from_str(json).expect("the test's own JSON");
        Conditions::default().read(&operand, "at")
    }

    #[test]
    fn the_operand_says_in_which_way_an_element_is_meant() {
        for (condition, element, holds) in [
            ("1", "1.0", true),
            ("1", "[1]", false),
            ("[1,2]", "[1,2]", true),
            ("[1,2]", "[2,1]", false),
            (r#"{"$gt":5}"#, "6", true),
            (r#"{"$gt":5}"#, "[1,6]", true),
            (r#"{"$gt":5}"#, r#"{"a":6}"#, false),
            (r#"{"a":1}"#, r#"{"b":2,"a":1}"#, true),
            (r#"{"a":{"$gt":5}}"#, r#"{"a":[6]}"#, true),
            (r#"{"a":1}"#, r#"[{"a":1}]"#, false),
            (r#"{"$or":[{"a":1},{"b":1}]}"#, r#"{"b":1}"#, true),
            ("{}", "{}", true),
            ("{}", "1", false),
        ] {
            let element: Value = serde_json::from_str(element).expect("the test's own JSON");
            let condition = read(condition).expect("a good condition");
            assert_eq!(
                condition.holds(&element, &Steps::unbounded()),
                Ok(holds),
                "{condition:?} {element:?}"
            );
        }
    }

    #[test]
    fn patterns_are_bounded_exactly_over_all_conditions_and_take_what_they_compile_to() {
        let patterns = |count: usize| {
            let alternatives = vec![r#"{"a":{"$regex":"x"}}"#; count].join(",");
            let json = format!(r#"{{"$or":[{alternatives}]}}"#);
            serde_json::from_str::<Value>(&json).expect("the test's own JSON")
        };
        let most = limits::PULL_PATTERNS_MAX;
        let mut conditions = Conditions::default();
        let first = conditions.read(&patterns(most - 1), "at").expect("fewer");
        assert_eq!(
            first.approx_bytes(),
            (most - 1) * limits::REGEX_COMPILED_BYTES_MAX
        );
        assert_eq!(
            conditions
                .read(&1.into(), "at")
                .expect("none")
                .approx_bytes(),
            0
        );
        assert!(conditions.read(&patterns(1), "at").is_ok());
        let invalid = conditions.read(&patterns(1), "at").expect_err("one more");
        assert!(invalid.reason.starts_with("more than 16 patterns"));
    }
}
