//! What the help of the program has beside its settings. Made for terminals of 80 columns.

use claims::program::ENVIRONMENT_HELP;

/// Under which the flags of one pass stand.
pub(crate) const ONE_PASS: &str = "With --once";

/// What the help ends with.
pub(crate) fn more() -> String {
    format!(
        "\
Examples:
  claim-reaper                                          # a daemon
  * * * * * claim-reaper --once --json --budget 50s     # from cron
  claim-reaper --once --dry-run --json                  # only look
  claim-reaper --once --override-brake                  # the holders are dead

{ENVIRONMENT_HELP}

docs/reaper.md says how a pass works, and what to do about each exit code."
    )
}
