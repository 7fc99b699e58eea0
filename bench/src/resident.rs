//! Memory of processes, as Linux keeps it in `/proc`.

use anyhow::{Context, Result};
use std::fs;

/// Bytes of a process that are in memory.
pub(crate) fn bytes(id: u32) -> Result<u64> {
    of(id, "VmRSS:")
}

/// The most that there ever were.
pub(crate) fn peak_bytes(id: u32) -> Result<u64> {
    of(id, "VmHWM:")
}

fn of(id: u32, field: &str) -> Result<u64> {
    let path = format!("/proc/{id}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no size")?;
    Ok(1024 * kib.parse::<u64>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_there_and_was_never_smaller_than_its_peak() {
        let id = std::process::id();
        assert!((1..=peak_bytes(id).unwrap()).contains(&bytes(id).unwrap()));
    }
}
