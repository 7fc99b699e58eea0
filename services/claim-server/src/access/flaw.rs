//! What is wrong with the content of a file, and where.

use std::fmt;

/// A content that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    /// The line, from 1; none if it is about the whole.
    line: Option<usize>,
    problem: String,
}

impl Flaw {
    /// One of the whole.
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { line: None, problem: problem.into() }
    }

    /// One in that line, counted from 1.
    pub(super) fn in_line(line: usize, problem: impl Into<String>) -> Self {
        Self { line: Some(line), problem: problem.into() }
    }

    /// With the place that it is in: `place:line: problem`, in one line.
    pub(super) fn of(&self, place: impl fmt::Display) -> String {
        let problem = self.problem.lines().collect::<Vec<_>>().join("; ");
        match self.line {
            Some(line) => format!("{place}:{line}: {problem}"),
            None => format!("{place}: {problem}"),
        }
    }
}
