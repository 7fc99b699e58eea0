use super::super::standing::NEWCOMERS_MAX;
use super::*;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use std::time::Duration;

const BOUND: usize = 4_096;
/// More than a standing queue takes in any case.
const MANY: usize = 1_000;

type Waits = BoxFuture<'static, Result<usize, StoreError>>;

/// Calls that can come later, each asked once, by which it has joined or been refused.
fn newcomers(queue: &Queue<usize, usize>, count: usize) -> Vec<Waits> {
    let join = |ask| {
        let queue = queue.clone();
        let mut call = async move { queue.newcomer(ask).await }.boxed();
        assert!((&mut call).now_or_never().is_none(), "{ask} was refused");
        call
    };
    (0..count).map(join).collect()
}

async fn serve(waiting: &Waiting<usize, usize>, count: usize) {
    let mut served = 0;
    while served < count {
        for call in waiting.take(128).await {
            let answer = call.ask;
            call.answer(Ok(answer));
            served += 1;
        }
    }
}

#[tokio::test]
async fn a_burst_on_an_idle_queue_is_not_refused() {
    let (queue, waiting) = Queue::bounded(BOUND);
    queue.standing.age(Duration::from_secs(3600));
    let calls = newcomers(&queue, MANY);
    serve(&waiting, MANY).await;
    let answers = join_all(calls).await;
    assert!(answers.into_iter().enumerate().all(|(ask, answer)| answer.unwrap() == ask));
}

#[tokio::test]
async fn a_standing_queue_refuses_newcomers_and_serves_those_it_has() {
    let (queue, waiting) = Queue::bounded(BOUND);
    let calls = newcomers(&queue, MANY);
    queue.standing.age(Duration::from_secs(60));
    assert!(queue.refuses_newcomers());
    assert!(matches!(queue.newcomer(0).await, Err(StoreError::Overloaded)));
    let holder = queue.call(MANY);
    let mut holder = std::pin::pin!(holder);
    assert!(holder.as_mut().now_or_never().is_none(), "who has a claim may still come");
    serve(&waiting, MANY + 1).await;
    assert!(join_all(calls).await.into_iter().all(|answer| answer.is_ok()));
    assert_eq!(holder.await.unwrap(), MANY);
    assert!(!queue.refuses_newcomers(), "it was empty again");
}

#[tokio::test]
async fn newcomers_leave_room_for_those_who_have_something() {
    let (queue, _waiting) = Queue::bounded(BOUND);
    let _calls = newcomers(&queue, NEWCOMERS_MAX);
    assert!(matches!(queue.newcomer(0).await, Err(StoreError::Overloaded)));
    assert!(queue.call(0).now_or_never().is_none());
}
