//! The end of a program: SIGTERM (an orchestrator) or SIGINT (a person) begins the drain; a second
//! one ends the process at once.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code of a process that a second signal ended.
const EXIT_AT_ONCE: i32 = 130;

/// Told once when the program is to end. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    asked: CancellationToken,
}

impl Shutdown {
    /// Listens for the signals from now on.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let asked = shutdown.asked.clone();
        tokio::spawn(async move {
            either(&mut terminate, &mut interrupt).await;
            tracing::info!("asked to stop; a second signal ends at once");
            asked.cancel();
            either(&mut terminate, &mut interrupt).await;
            tracing::warn!("asked to stop again; ending at once");
            std::process::exit(EXIT_AT_ONCE);
        });
        Ok(shutdown)
    }

    /// Asks for the end, as a signal would.
    pub fn ask(&self) {
        self.asked.cancel();
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Completes when the end is asked for.
    pub async fn asked(&self) {
        self.asked.cancelled().await;
    }
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
