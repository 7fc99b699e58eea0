//! What a server is told to do.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tonic::Status;

/// A heartbeat as the server got it.
#[derive(Clone, Debug)]
pub(crate) struct Beat {
    pub(crate) consumer: String,
    pub(crate) write_token: String,
    pub(crate) progress: Option<String>,
    pub(crate) tag: u64,
    /// When it arrived.
    pub(crate) at: Instant,
    /// The stream it came over, counted from 0.
    pub(crate) stream: usize,
}

/// What becomes of a heartbeat.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// The lease is renewed at once, and the answer comes so much later.
    Renew { answer_after: Duration },
    /// The lease is renewed, and the holder asked to stop.
    Stop,
    /// Nobody answers.
    Silence,
    /// It is answered with this status.
    No(Status),
    /// The stream ends with this status.
    End(Status),
    /// It is renewed and answered; then the stream ends with this status.
    RenewAndEnd(Status),
}

/// An answer without delay.
pub(crate) const RENEW: Reply = Reply::Renew { answer_after: Duration::ZERO };

/// What becomes of a call with one answer.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// It is done and answered.
    Answer,
    /// It is done, and answered so much later.
    AnswerAfter(Duration),
    /// It is not done, and answered with this status.
    No(Status),
    /// It is done, and nobody answers.
    Silence,
}

type BeatScript = dyn Fn(&Beat) -> Reply + Send + Sync;
type CallScript = dyn Fn(&str, usize) -> Act + Send + Sync;

/// The present script; it can be changed while it is played.
#[derive(Clone)]
pub(crate) struct Script {
    beats: Arc<Mutex<Arc<BeatScript>>>,
    calls: Arc<Mutex<Arc<CallScript>>>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            beats: Arc::new(Mutex::new(Arc::new(|_| RENEW))),
            calls: Arc::new(Mutex::new(Arc::new(|_, _| Act::Answer))),
        }
    }
}

impl Script {
    pub(crate) fn set_beats(&self, script: impl Fn(&Beat) -> Reply + Send + Sync + 'static) {
        *self.beats.lock().expect("no panic holds it") = Arc::new(script);
    }

    pub(crate) fn set_calls(&self, script: impl Fn(&str, usize) -> Act + Send + Sync + 'static) {
        *self.calls.lock().expect("no panic holds it") = Arc::new(script);
    }

    pub(crate) fn reply(&self, beat: &Beat) -> Reply {
        let script = self.beats.lock().expect("no panic holds it").clone();
        script(beat)
    }

    pub(crate) fn act(&self, method: &str, number: usize) -> Act {
        let script = self.calls.lock().expect("no panic holds it").clone();
        script(method, number)
    }
}
