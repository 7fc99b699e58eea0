//! What the server costs the machine, as Linux tells it.

use crate::support::Server;
use std::fs;

/// Bytes of its memory that are resident.
pub(crate) fn resident_bytes(server: &Server) -> u64 {
    size(server, "VmRSS:")
}

/// The most that there ever were.
pub(crate) fn peak_bytes(server: &Server) -> u64 {
    size(server, "VmHWM:")
}

fn size(server: &Server, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", id(server))).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a size");
    let kib = line.split_whitespace().next().expect("a size");
    1024 * kib.parse::<u64>().expect("a number")
}

/// Its files and sockets that are open.
pub(crate) fn descriptors(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", id(server))).expect("a process").count()
}

fn id(server: &Server) -> u32 {
    server.child.id().expect("a running process")
}

/// Panics if the process has ended, has panicked somewhere or speaks of a fault of its own.
pub(crate) fn is_unharmed(server: &mut Server) {
    assert!(server.child.try_wait().expect("a process").is_none(), "it lives");
    let log = server.log.lock().expect("no panic holds it").clone();
    for bad in ["panicked", "ERROR"] {
        let line = log.lines().find(|line| line.contains(bad));
        assert_eq!(line, None, "the log speaks of a fault");
    }
}
