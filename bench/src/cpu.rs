//! Processor time of processes, as Linux keeps it in `/proc`.

use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

/// A tick of `/proc/*/stat`: Linux shows a hundred a second on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// One line of `/proc/*/stat`.
struct Stat {
    parent: u32,
    /// Its own time, all threads.
    own: u32,
    /// That of its children that have ended and been waited for, and of theirs.
    ended_children: u32,
}

/// What a process has used.
pub(crate) fn of_process(id: u32) -> Result<Duration> {
    Ok(TICK * stat(&id.to_string())?.own)
}

/// What children of this process have used that have ended.
pub(crate) fn of_ended_children() -> Result<Duration> {
    Ok(TICK * stat("self")?.ended_children)
}

/// What a process and its children, living and ended, have used.
pub(crate) fn of_family(id: u32) -> Result<Duration> {
    loop {
        let before = stat(&id.to_string())?;
        let children = living_children(id)?;
        let after = stat(&id.to_string())?;
        // One that ended in between would count twice or not at all.
        if before.ended_children == after.ended_children {
            return Ok(TICK * (after.own + after.ended_children + children));
        }
    }
}

fn living_children(id: u32) -> Result<u32> {
    let mut ticks = 0;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
        else {
            continue;
        };
        // One that has ended since the folder was read is no longer there.
        if let Ok(child) = stat(name)
            && child.parent == id
        {
            ticks += child.own + child.ended_children;
        }
    }
    Ok(ticks)
}

fn stat(process: &str) -> Result<Stat> {
    let path = format!("/proc/{process}/stat");
    let line = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    parse(&line).with_context(|| format!("{path} is not as Linux writes it"))
}

/// The name of the program, in parentheses, may hold anything; the fields behind it are numbers.
fn parse(line: &str) -> Option<Stat> {
    let (_, fields) = line.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |number: usize| fields.get(number).and_then(|field| field.parse::<u32>().ok());
    Some(Stat {
        parent: field(1)?,
        own: field(11)? + field(12)?,
        ended_children: field(13)? + field(14)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_behind_the_name_whatever_that_holds() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 5 6 0 0 11 22 33 44 20 0 1 0 99";
        let stat = parse(line).unwrap();
        assert_eq!((stat.parent, stat.own, stat.ended_children), (7, 33, 77));
    }

    #[test]
    fn this_process_is_there() {
        assert!(of_process(std::process::id()).is_ok());
        assert!(of_family(std::process::id()).unwrap() >= Duration::ZERO);
    }
}
