use super::super::standing::NEWCOMERS_MAX;
use super::*;
use crate::store::metrics::StoreMetrics;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::time::Duration;

const BOUND: usize = 4_096;
/// More than a standing queue takes in any case.
const MANY: usize = 1_000;

type Waits = BoxFuture<'static, Result<usize, StoreError>>;

/// What is asked here: a number, for a tenant.
#[derive(Debug)]
struct Ask {
    tenant: TenantId,
    number: usize,
}

impl OfTenant for Ask {
    fn tenant(&self) -> Option<&TenantId> {
        Some(&self.tenant)
    }
}

fn metrics() -> LaneMetrics {
    StoreMetrics::default().of_lanes("test")
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn ask(of: &str, number: usize) -> Ask {
    Ask { tenant: tenant(of), number }
}

/// A call that has joined; by which it is known that it was not refused.
fn joined(queue: &Queue<Ask, usize>, ask: Ask) -> Waits {
    let queue = queue.clone();
    let mut call = async move { queue.call(ask).await }.boxed();
    assert!((&mut call).now_or_never().is_none(), "it was refused");
    call
}

/// Calls of tenant `a` that can come later, each asked once, by which it has joined.
fn newcomers(queue: &Queue<Ask, usize>, count: usize) -> Vec<Waits> {
    let join = |number| {
        let queue = queue.clone();
        let mut call = async move { queue.newcomer(ask("a", number)).await }.boxed();
        assert!((&mut call).now_or_never().is_none(), "{number} was refused");
        call
    };
    (0..count).map(join).collect()
}

async fn is_refused(queue: &Queue<Ask, usize>, of: &str) -> bool {
    assert_eq!(
        queue.refuses_newcomers_of(&tenant(of)),
        matches!(queue.newcomer(ask(of, 0)).now_or_never(), Some(Err(StoreError::Overloaded))),
        "what is told before is what happens"
    );
    queue.refuses_newcomers_of(&tenant(of))
}

fn age(queue: &Queue<Ask, usize>, by: Duration) {
    queue.door.shared.lock().standing.age(by);
}

async fn serve(waiting: &Waiting<Ask, usize>, count: usize) {
    let mut served = 0;
    while served < count {
        for call in waiting.take(128).await {
            let answer = call.ask.number;
            call.answer(Ok(answer));
            served += 1;
        }
    }
}

#[tokio::test]
async fn a_burst_on_an_idle_queue_is_not_refused() {
    let (queue, waiting) = Queue::bounded(BOUND, &Weights::default(), metrics());
    age(&queue, Duration::from_secs(3600));
    let calls = newcomers(&queue, MANY);
    serve(&waiting, MANY).await;
    let answers = join_all(calls).await;
    assert!(answers.into_iter().enumerate().all(|(ask, answer)| answer.unwrap() == ask));
}

#[tokio::test]
async fn a_standing_queue_refuses_newcomers_and_serves_those_it_has() {
    let (queue, waiting) = Queue::bounded(BOUND, &Weights::default(), metrics());
    let calls = newcomers(&queue, MANY);
    age(&queue, Duration::from_secs(60));
    assert!(is_refused(&queue, "a").await);
    let holder = joined(&queue, ask("a", MANY));
    serve(&waiting, MANY + 1).await;
    assert!(join_all(calls).await.into_iter().all(|answer| answer.is_ok()));
    assert_eq!(holder.await.unwrap(), MANY, "who has a claim may still come");
    assert!(!is_refused(&queue, "a").await, "it was empty again");
}

#[tokio::test]
async fn newcomers_leave_room_for_those_who_have_something() {
    let (queue, _waiting) = Queue::bounded(BOUND, &Weights::default(), metrics());
    let _calls = newcomers(&queue, NEWCOMERS_MAX);
    assert!(is_refused(&queue, "a").await);
    let _holder = joined(&queue, ask("a", 0));
}

#[tokio::test]
async fn a_tenant_that_floods_is_refused_and_another_is_served_next() {
    let (queue, waiting) = Queue::bounded(BOUND, &Weights::default(), metrics());
    let _flood = newcomers(&queue, MANY);
    age(&queue, Duration::from_secs(60));
    assert!(is_refused(&queue, "a").await);
    assert!(!queue.refuses_newcomers_of(&tenant("b")));
    let quiet = joined(&queue, ask("b", MANY));
    let batch = waiting.take(128).await;
    assert_eq!(batch.iter().filter(|call| call.ask.tenant == tenant("b")).count(), 1);
    batch.into_iter().for_each(|call| {
        let number = call.ask.number;
        call.answer(Ok(number));
    });
    assert_eq!(quiet.await.unwrap(), MANY);
}

#[tokio::test]
async fn a_tenant_gets_as_much_of_each_batch_as_it_weighs_and_news_of_that_count_while_it_waits() {
    let weights = Weights::default();
    let (queue, waiting) = Queue::bounded(BOUND, &weights, metrics());
    let join = |of: &str, count| -> Vec<Waits> {
        (0..count).map(|number| joined(&queue, ask(of, number))).collect()
    };
    let of_a = async || {
        let batch = waiting.take(100).await;
        batch.iter().filter(|call| call.ask.tenant == tenant("a")).count()
    };
    let _waits = (join("a", 400), join("b", 400));
    assert_eq!(of_a().await, 50);
    weights.replace([(tenant("a"), 4.try_into().unwrap())].into());
    let _more = join("a", 1);
    assert_eq!(of_a().await, 80);
}

#[tokio::test]
async fn whoever_fills_the_queue_with_what_cannot_come_later_leaves_room_for_others() {
    let (queue, _waiting) = Queue::bounded(90, &Weights::default(), metrics());
    let flood: Vec<Waits> = (0..80).map(|number| joined(&queue, ask("a", number))).collect();
    let beyond = queue.call(ask("a", 80)).now_or_never();
    assert!(matches!(beyond, Some(Err(StoreError::Overloaded))), "{beyond:?}");
    let other = joined(&queue, ask("b", 0));
    drop((flood, other));
}

#[tokio::test]
async fn each_tenants_pace_is_that_of_the_lanes_and_not_of_its_own_line() {
    let (queue, waiting) = Queue::bounded(BOUND, &Weights::default(), metrics());
    let flood = newcomers(&queue, MANY);
    let _quiet = joined(&queue, ask("b", 0));
    serve(&waiting, MANY + 1).await;
    drop(flood);
    // All were served at once, so that as many more could be.
    assert!(queue.door.shared.lock().standing.fits() > 10 * MANY);
}

#[tokio::test]
async fn a_queue_without_lanes_refuses_and_tells_those_who_wait() {
    let (queue, waiting) = Queue::bounded(BOUND, &Weights::default(), metrics());
    let waits = joined(&queue, ask("a", 0));
    drop(waiting);
    assert!(matches!(waits.await, Err(StoreError::Unavailable)));
    assert!(matches!(queue.call(ask("a", 1)).await, Err(StoreError::Unavailable)));
}

#[tokio::test]
async fn lanes_are_told_when_no_more_calls_will_come_and_serve_what_is_left() {
    let (queue, waiting) = Queue::bounded(BOUND, &Weights::default(), metrics());
    let back = queue.way_back();
    let waits = joined(&queue, ask("a", 0));
    drop((waits, queue));
    assert!(waiting.arrival().await);
    let mut left = waiting.take(128).await;
    assert_eq!(left.len(), 1);
    assert!(waiting.take(128).await.is_empty() && !waiting.arrival().await);
    // A way back keeps no queue open.
    back.try_again(left.remove(0), StoreError::Internal);
    assert!(waiting.take(128).await.is_empty());
}

#[tokio::test]
async fn a_lane_that_waits_is_woken_by_the_first_call_and_by_the_end() {
    let (queue, waiting) = Queue::bounded(BOUND, &Weights::default(), metrics());
    let lane = tokio::spawn({
        let waiting = waiting.clone();
        async move {
            let first = waiting.take(1).await.len();
            (first, waiting.take(1).await.len())
        }
    });
    tokio::task::yield_now().await;
    let waits = joined(&queue, ask("a", 0));
    tokio::task::yield_now().await;
    drop((waits, queue));
    assert_eq!(lane.await.unwrap(), (1, 0));
}

/// How many calls were taken, by the histogram of their waits.
fn waited(metrics: &LaneMetrics) -> u64 {
    let mut registry = Registry::default();
    metrics.store.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let count = text.lines().find_map(|line| line.strip_prefix("queue_wait_seconds_count"));
    count.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn who_waits_is_counted_until_it_is_taken_and_its_wait_then() {
    let metrics = metrics();
    let (queue, waiting) = Queue::bounded(BOUND, &Weights::default(), metrics.clone());
    let waits = [joined(&queue, ask("a", 0)), joined(&queue, ask("b", 1))];
    assert_eq!((metrics.depth.get(), waited(&metrics)), (2, 0));
    serve(&waiting, 2).await;
    assert_eq!((metrics.depth.get(), waited(&metrics)), (0, 2));
    drop(waits);
}
