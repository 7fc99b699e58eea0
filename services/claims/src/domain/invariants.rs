//! The invariants I1 … I11 as checks over worlds: for the property tests, for a model checker, and
//! for whoever reads a whole database back into a [`World`](super::world::World).
//!
//! * [`check_world`] looks at one world: what is true of its rows at any time.
//! * [`check_step`] looks at the worlds before and after one call: what that call may change.
//! * [`check_authorization`] looks at the answer to one AuthorizeWrite (I5).
//!
//! The checks state the rules once more, from the tables of the specification, and call nothing
//! that decides; a check that shared code with a decision would share its mistakes. I12 is a
//! matter of text, not of rows, and is checked where text is made.
//!
//! A world to be checked is whole: it holds the entity and the high-water mark of every claim in
//! it. Pruning is no step; it removes terminal claims and nothing else (T1, T2).

mod authorization;
mod state;
mod step;

pub use authorization::check_authorization;
pub use state::check_world;
pub use step::{Step, check_step};

use super::claim::ClaimId;
use super::entity::EntityKey;

/// A rule that does not hold, and the rows that show it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule} does not hold: {problem} ({})", rows.join(", "))]
pub struct Violation {
    /// The number of the invariant, or of the rule where no invariant says it.
    pub rule: &'static str,
    /// What is wrong.
    pub problem: &'static str,
    /// The keys of the rows concerned; never a token or its digest (I12).
    pub rows: Vec<String>,
}

/// Something that is named by its key in a violation.
trait Row {
    fn name(&self) -> String;
}

impl Row for ClaimId {
    fn name(&self) -> String {
        format!("claim {self}")
    }
}

impl Row for EntityKey {
    fn name(&self) -> String {
        format!("entity {}{}", self.tenant, self.url)
    }
}

/// Holds `condition` up as part of `rule`.
fn require(
    condition: bool,
    rule: &'static str,
    problem: &'static str,
    rows: &[&dyn Row],
) -> Result<(), Violation> {
    if condition {
        return Ok(());
    }
    Err(Violation { rule, problem, rows: rows.iter().map(|row| row.name()).collect() })
}
