//! What the measurements ran on; nothing that says where it stands.

use crate::sql::Sql;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;

/// Its size, and the database's version.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: u32,
    pub(crate) memory_gib: u32,
    pub(crate) postgres: String,
    /// Of the measurement, in UTC.
    pub(crate) date: String,
}

/// This one.
pub(crate) fn describe(sql: &Sql) -> Result<Machine> {
    let version: String =
        sql.value("SELECT split_part(current_setting('server_version'), ' ', 1)")?;
    Ok(Machine {
        cores: u32::try_from(std::thread::available_parallelism()?.get())?,
        memory_gib: memory_gib().context("/proc/meminfo tells no memory")?,
        postgres: version,
        date: sql.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')")?,
    })
}

fn memory_gib() -> Option<u32> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u32 = total.split_whitespace().next()?.parse().ok()?;
    Some(kib.div_ceil(1024 * 1024))
}
