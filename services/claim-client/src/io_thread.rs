//! The thread that carries every call and every heartbeat of a client, with a runtime of its own.
//!
//! Heartbeats must not starve with the work (BullMQ's "missing lock"): user code that blocks each
//! thread of its own runtime stops nothing here, because nothing here runs on them. Connections
//! live on this thread too, or they would stall although the heartbeats do not.

use std::io;
use std::thread;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// The thread. It ends when this is dropped, and drops what it carries.
#[derive(Debug)]
pub(crate) struct IoThread {
    runtime: Handle,
    end: CancellationToken,
}

impl IoThread {
    /// Starts it.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let end = CancellationToken::new();
        let ended = end.clone();
        thread::Builder::new().name("claim-client".to_owned()).spawn(move || {
            runtime.block_on(ended.cancelled());
            // A name that is being looked up would keep the thread for as long as that takes.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, end })
    }

    /// Where to spawn.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        // Not awaited: the last owner may be a task on the thread itself.
        self.end.cancel();
    }
}
