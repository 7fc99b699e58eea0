//! What the log says, and what it never says.

use crate::support::script::Reply;
use crate::support::stage::Stage;
use crate::support::{client, eventually, in_time, mint, status};
use claim_client::Done;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use tonic::Code;
use tracing_subscriber::fmt::MakeWriter;

/// The log of this process: of all its tests, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic holds it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic holds it").clone()).expect("UTF-8")
    }

    /// Whether a line has both.
    fn says(&self, consumer: &str, words: &str) -> bool {
        self.text().lines().any(|line| line.contains(consumer) && line.contains(words))
    }
}

fn log() -> Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        tracing_subscriber::fmt()
            .with_writer(log.clone())
            .with_ansi(false)
            .with_env_filter("claim_client=trace")
            .init();
        log
    })
    .clone()
}

#[tokio::test]
async fn a_guard_dropped_without_done_says_so_and_one_that_is_done_does_not() {
    let log = log();
    let stage = Stage::start().await;
    let client = client(&[stage.url()]);
    drop(mint(&client, "w_dropped").await);
    mint(&client, "w_done").await.done(Done::completed()).await.unwrap();
    assert!(log.says("w_dropped", "was dropped without done"));
    assert!(!log.says("w_done", "without done"));
}

#[tokio::test]
async fn suspension_loss_and_a_request_to_stop_are_told_once_each_with_the_claims_name() {
    let log = log();
    let stage = Stage::start().await;
    stage.script.set_beats(|_| Reply::Silence);
    let guard = mint(&client(&[stage.url()]), "w_logged").await;
    in_time("writing is suspended", guard.suspended()).await;
    stage.script.set_beats(|_| Reply::Stop);
    in_time("stop is offered", guard.stop_requested()).await;
    stage.script.set_beats(|_| Reply::No(status(Code::FailedPrecondition, "CLAIM_EXPIRED")));
    in_time("a loss", guard.cancellation().cancelled()).await;
    for words in ["writing is suspended", "writing is allowed again", "asked to finish", "is lost"]
    {
        eventually(words, || log.says("w_logged", words)).await;
        let text = log.text();
        let lines = text.lines().filter(|l| l.contains("w_logged") && l.contains(words));
        assert_eq!(lines.count(), 1, "{words}");
    }
}

#[tokio::test]
async fn no_token_is_in_the_log_or_in_the_debug_form_of_anything() {
    let log = log();
    let stage = Stage::start().await;
    let client = client(&[stage.url()]);
    let guard = mint(&client, "w_secret").await;
    let secret = guard.write_token().reveal().to_owned();
    eventually("it is heard", || !stage.beats().is_empty()).await;
    let shown = format!("{guard:?} {:?} {client:?}", guard.handle());
    assert!(!shown.contains(&secret), "{shown}");
    drop(guard);
    assert!(!log.text().contains(&secret));
}
