//! All that is wrong with a request, so that its author need not find out one field at a time.

use claims::domain::InvalidField;

/// Most violations that one answer names. They travel in a header, and clients take no more than
/// some 8 KiB of those.
const VIOLATIONS_MAX: usize = 16;

/// A request with fields that do not fit their limits. Nothing has touched the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidFields(Vec<InvalidField>);

impl InvalidFields {
    /// The violations, in the order of the check; never none.
    pub(crate) fn violations(&self) -> &[InvalidField] {
        &self.0
    }
}

impl From<InvalidField> for InvalidFields {
    fn from(violation: InvalidField) -> Self {
        Self(vec![violation])
    }
}

/// Gathers the violations of one request while its fields are converted.
#[derive(Default)]
pub(super) struct Violations(Vec<InvalidField>);

impl Violations {
    /// The value of a field that passed its check; none, and a violation more, if it did not.
    pub(super) fn check<T>(&mut self, checked: Result<T, InvalidField>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(violation) => {
                self.add(violation);
                None
            }
        }
    }

    /// As [`Violations::check`], of a part of the request that was checked as a whole.
    pub(super) fn check_part<T>(&mut self, checked: Result<T, InvalidFields>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(fields) => {
                fields.0.into_iter().for_each(|violation| self.add(violation));
                None
            }
        }
    }

    /// One violation more.
    pub(super) fn add(&mut self, violation: InvalidField) {
        if self.0.len() < VIOLATIONS_MAX {
            self.0.push(violation);
        }
    }

    /// What `build` makes of the checked fields, unless there was a violation. `build` lacks a
    /// field exactly where a violation was found.
    pub(super) fn or<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, InvalidFields> {
        match build() {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(InvalidFields(self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_a_violation_is_not_built_even_if_all_fields_are_there() {
        let mut violations = Violations::default();
        violations.add(InvalidField::new("authority", "needs an epoch"));
        assert!(violations.or(|| Some(())).is_err());
    }

    #[test]
    fn an_answer_names_a_bounded_number_of_violations() {
        let mut violations = Violations::default();
        for _ in 0..100 {
            violations.add(InvalidField::new("states", "unknown"));
        }
        let invalid = violations.or(|| Some(())).unwrap_err();
        assert_eq!(invalid.violations().len(), VIOLATIONS_MAX);
    }
}
