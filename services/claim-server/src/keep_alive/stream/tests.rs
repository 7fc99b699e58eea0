use super::super::listeners::Listeners;
use super::*;
use claims::store::{Database, StoreSettings};
use futures_util::stream::pending;
use std::sync::Arc;
use std::time::Duration;

use crate::calls::drain::Drain;
use crate::calls::method::Method;
use crate::quota::Quota;
use crate::status::request_id;
use tonic::Code;

/// A stream whose client says nothing and whose herald does not speak either.
fn waiting(
    drain: &Drain,
    deadline: Deadline,
    database_away: watch::Receiver<bool>,
) -> KeepAlive<futures_util::stream::Pending<Asked>> {
    // Nobody asks it anything, so it never connects.
    let database = Database::parse("postgres://nobody@nowhere.invalid/nothing").unwrap();
    let call = Call::of_anybody(Method::KeepAlive);
    KeepAlive {
        store: ClaimStore::start(&database, &StoreSettings::default()),
        requests: pending(),
        listener: Listener::among(&Arc::<Listeners>::default()),
        herald: Some(Box::pin(std::future::pending())),
        stay: drain.stay(),
        standing: call.standing(None),
        call,
        quota: Quota::unlimited(),
        _opened: Quota::unlimited().open_stream().unwrap(),
        deadline,
        database_away,
        under_way: FuturesUnordered::new(),
        end: None,
        metrics: Metrics::default(),
        log: StreamLog::of("KeepAlive", Method::KeepAlive, &Metrics::default()),
    }
}

async fn end(mut stream: KeepAlive<futures_util::stream::Pending<Asked>>) -> Status {
    let status = stream.next().await.unwrap().unwrap_err();
    assert_eq!(request_id(&status), None);
    status
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_for_the_herald_ends_with_its_deadline_the_drain_or_the_database() {
    let time = Duration::from_millis(200);
    let endless = || Deadline::of_stream(&http::Extensions::new());
    let away = watch::Sender::new(false);
    let begin = Instant::now();
    let limited = Deadline::ending_stream_in(time);
    let status = end(waiting(&Drain::default(), limited, away.subscribe())).await;
    assert_eq!((status.code(), begin.elapsed()), (Code::DeadlineExceeded, time));

    let drain = Drain::default();
    let stream = waiting(&drain, endless(), away.subscribe());
    drain.begin();
    assert!(end(stream).await.message().contains("about to end"));

    let stream = waiting(&Drain::default(), endless(), away.subscribe());
    away.send_replace(true);
    assert!(end(stream).await.message().contains("database"));
    assert_eq!(begin.elapsed(), time, "the others end at once");
}
