//! The client's own thread.

use crate::support::script::{RENEW, Reply};
use crate::support::stage::Stage;
use crate::support::{TTL, client, eventually, mint};
use claim_client::{Done, HoldState};
use std::fs;
use std::time::{Duration, Instant};

/// A stage on a runtime of its own, as a server is.
fn stage_elsewhere() -> (Stage, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    (runtime.block_on(Stage::start()), runtime)
}

#[test]
fn work_that_blocks_every_thread_of_its_runtime_starves_no_heartbeat() {
    let (stage, _serving) = stage_elsewhere();
    let workers = 2;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .unwrap();
    let guard = runtime.block_on(async { mint(&client(&[stage.url()]), "w_1").await });
    let begin = Instant::now();
    for _ in 0..workers {
        // What no async code should do.
        runtime.spawn(async { std::thread::sleep(TTL * 4) });
    }
    while begin.elapsed() < TTL * 3 {
        assert!(matches!(guard.state(), HoldState::Writing { .. }), "{:?}", guard.state());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(stage.beats().len() >= 6, "{}", stage.beats().len());
}

#[test]
fn a_client_may_be_used_from_a_runtime_that_has_ended_and_from_another() {
    let (stage, _serving) = stage_elsewhere();
    let single = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = single();
    let guard = first.block_on(async { mint(&client(&[stage.url()]), "w_1").await });
    drop(first);
    let begin = Instant::now();
    while begin.elapsed() < TTL * 2 {
        assert!(matches!(guard.state(), HoldState::Writing { .. }));
        std::thread::sleep(Duration::from_millis(20));
    }
    single().block_on(guard.done(Done::completed())).unwrap();
}

#[test]
fn a_waiter_needs_no_runtime_at_all() {
    let (stage, serving) = stage_elsewhere();
    let guard = serving.block_on(async { mint(&client(&[stage.url()]), "w_1").await });
    stage.script.set_beats(|_| Reply::Silence);
    futures_executor(guard.suspended());
    stage.script.set_beats(|_| RENEW);
    futures_executor(guard.may_write()).unwrap();
}

/// The smallest executor there is: it parks the thread.
fn futures_executor<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

/// How many threads of clients this process has. Tests run side by side, so only a change that a
/// test makes itself means anything: it uses many.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("the threads of a process on Linux");
    let is_clients = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "claim-client")
    };
    tasks.flatten().filter(is_clients).count()
}

#[tokio::test]
async fn the_thread_ends_with_the_last_clone_and_the_last_guard() {
    const MANY: usize = 200;
    let stage = Stage::start().await;
    let clients: Vec<_> = (0..MANY).map(|_| client(&[stage.url()])).collect();
    // A thread takes its name when it begins to run.
    eventually("each has its own", || threads() >= MANY).await;
    let guard = mint(&clients[0].clone(), "w_1").await;
    drop(clients);
    eventually("their threads end", || threads() < MANY / 2).await;
    let beats = stage.beats().len();
    eventually("the guard keeps its own", || stage.beats().len() > beats + 3).await;
    assert!(matches!(guard.state(), HoldState::Writing { .. }));
}
