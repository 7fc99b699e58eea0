//! One caller: a connection, a tenant, and stretches of calls side by side, one stretch after the
//! other. After a stretch in which no answer spoke of a change, no row may have been written.

use super::input::{self, Input, Kind};
use super::judge::{Verdict, judge};
use super::ledger::Ledger;
use super::request::Mood;
use super::world::World;
use crate::support::raw::{self, Answer, Connection};
use claims::testing::TestDatabase;
use fastrand::Rng;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Calls of a stretch, which are under way at the same time.
const STRETCH: usize = 32;

/// What the callers share.
pub(crate) struct Place {
    pub(crate) db: TestDatabase,
    pub(crate) ledger: Ledger,
    pub(crate) server: SocketAddr,
}

/// How often calls ended in which way.
pub(crate) type Counts = BTreeMap<(&'static str, Verdict), usize>;

/// A caller.
pub(crate) struct Caller {
    place: Arc<Place>,
    connection: Connection,
    random: Rng,
    seed: u64,
    world: World,
    /// Rows of its tenant so far.
    rows: i64,
    pub(crate) counts: Counts,
    /// Calls after which it was seen that no row was written.
    pub(crate) without_a_row: usize,
}

impl Caller {
    pub(crate) async fn new(place: Arc<Place>, tenant: String, seed: u64) -> Self {
        let connection = raw::connect(place.server).await;
        Self {
            place,
            connection,
            random: Rng::with_seed(seed),
            seed,
            world: World::new(tenant),
            rows: 0,
            counts: Counts::new(),
            without_a_row: 0,
        }
    }

    /// Makes at least so many calls.
    pub(crate) async fn play(mut self, calls: usize) -> Self {
        for _ in 0..calls.div_ceil(STRETCH) {
            self.stretch().await;
        }
        self
    }

    async fn stretch(&mut self) {
        let kind = self.kind();
        let inputs: Vec<Input> = (0..STRETCH)
            .map(|_| {
                self.world.age += 1;
                input::next(kind, &self.world, &mut self.random, self.place.server)
            })
            .collect();
        let sent = inputs.iter().map(|input| {
            let Input { request, body, ending, .. } = input;
            self.connection.send_any(request.clone(), body.clone(), *ending)
        });
        let answers = join_all(sent).await;
        let mut changed = false;
        for (input, answer) in inputs.iter().zip(&answers) {
            changed |= self.hear(kind, input, answer);
        }
        let tenant = &self.world.tenant;
        let rows = self.place.ledger.rows(&self.place.db, tenant).await;
        if !changed {
            let told = format!("{kind:?} of {tenant}, seed {}: {inputs:?}", self.seed);
            assert_eq!(rows, self.rows, "rows were written by calls that were refused: {told}");
            self.without_a_row += STRETCH;
        }
        self.rows = rows;
    }

    /// What the next calls are like: half of them live claims, so that there is something to harm.
    fn kind(&mut self) -> Kind {
        match self.random.u8(0..100) {
            0..25 => Kind::Requests(Mood::Honest),
            25..40 => Kind::Requests(Mood::Careless),
            40..55 => Kind::Requests(Mood::Stale),
            55..70 => Kind::Requests(Mood::Wild),
            70..85 => Kind::Bytes,
            85..95 => Kind::Frames,
            _ => Kind::Headers,
        }
    }

    /// Judges an answer and learns from it; whether it speaks of a change.
    fn hear(&mut self, kind: Kind, input: &Input, answer: &Result<Answer, h2::Error>) -> bool {
        let _blame = Blame { kind, input, seed: self.seed };
        let verdict = judge(input, answer);
        *self.counts.entry((input.method.path, verdict)).or_default() += 1;
        match (verdict, answer) {
            (Verdict::Good, Ok(answer)) if input.is_grpc => {
                self.world.learn(input.method, &input.message, answer)
            }
            // What was refused when it had begun has answers too, before its end.
            (Verdict::Refused(_), Ok(answer)) if !answer.body.is_empty() => true,
            _ => false,
        }
    }
}

/// Tells which input it was, if the test fails.
struct Blame<'a> {
    kind: Kind,
    input: &'a Input,
    seed: u64,
}

impl Drop for Blame<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}, {:?}: {:?}", self.seed, self.kind, self.input);
        }
    }
}
