//! The claim service's client for runners in Rust.
//!
//! ```no_run
//! use claim_client::{Client, Done, MintRequest};
//!
//! # async fn work(_: &str) {}
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder(["http://127.0.0.1:50051"]).build()?;
//! let guard = client.mint(MintRequest::new("/chat/a", "w_1")).await?;
//! let lost = guard.cancellation();
//! lost.run_until_cancelled(async {
//!     while !guard.is_stop_requested() {
//!         // Waits while the lease may have run out; fails once the claim is lost.
//!         if guard.may_write().await.is_err() {
//!             break;
//!         }
//!         work(guard.write_token().reveal()).await;
//!     }
//! })
//! .await;
//! guard.done(Done::completed()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What the guard promises
//!
//! * **Heartbeats by itself.** All claims of a [`Client`] share one KeepAlive stream, kept by a
//!   thread with a runtime of its own: work that blocks every thread of its runtime starves no
//!   heartbeat. A heartbeat that is unanswered or failed is sent again within 5 s of having been
//!   sent, at another server if its own fails, drains or is silent.
//! * **A deadline that is never too late.** The lease is counted from when the accepted heartbeat
//!   was *sent*, on a monotonic clock, less a margin. Until then [`ClaimHandle::may_write`] allows
//!   writing; after it, writing is suspended and heartbeats go on, since the service renews a lapsed
//!   claim that nobody has ended (H3).
//! * **Loss is definite.** The cancellation token fires when the service says that the claim is
//!   superseded, ended, at its ceiling, or held with another token; with [`CancelOn::Suspension`]
//!   also when the lease may have run out; and when the guard is gone without done. A transport error, `UNAVAILABLE` or `DEADLINE_EXCEEDED`
//!   alone is never a loss.
//! * **Stop is a request.** A paused or stopping entity offers the work to finish at its next
//!   checkpoint ([`ClaimHandle::stop_requested`]). Heartbeats go on until the guard is gone.
//! * **An end.** [`ClaimGuard::done`] consumes the guard. Dropped without, it lets the lease lapse,
//!   says so in the log and fires the token.
//!
//! # What it cannot promise
//!
//! Permission to write is a matter of time, and time passes between the question and the write. A
//! store that writes must ask [`Client::authorize_write`] itself, or compare fences; then a holder
//! that was stopped for an hour in between does no harm.
//!
//! The monotonic clock of Linux (`CLOCK_MONOTONIC`) stands still while a machine is suspended, which
//! virtual machines are when they are moved or saved. A holder that wakes up may take its lease for
//! running until its first heartbeat is answered. The store refuses it all the same.

mod bearer;
mod calls;
mod client;
mod done;
mod error;
mod guard;
mod handle;
mod heartbeats;
mod io_thread;
mod lease;
mod limits;
mod mint;
mod progress;
mod refusal;
mod retry;
mod servers;
mod settings;
mod tls;
mod token;
mod verdict;
mod watch;
mod wire;

pub use claim_proto::v1;
pub use client::{ClaimId, Client};
pub use done::Done;
pub use error::{Error, Failure};
pub use guard::{ClaimGuard, DoneError};
pub use handle::{ClaimHandle, HoldState, NotHeld};
pub use mint::{CancelOn, MintRequest};
pub use refusal::{Ending, InvalidField, Refusal};
pub use settings::{ClientBuilder, WrongSetting};
pub use tls::Tls;
pub use token::WriteToken;
pub use tonic::Code;
pub use watch::{EventWatch, WatchItem};
