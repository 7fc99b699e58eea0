//! The keeper: heartbeats every claim of the process over one KeepAlive stream.
//!
//! One task owns all claims in care. It is driven by orders of guards, by what the stream brings
//! and by the clock, and never waits for anything else: what a lease makes of an event is decided
//! by [`Lease`](crate::lease::Lease) alone.
//!
//! The stream is opened when the first heartbeat falls due. When it ends, or is silent although
//! heartbeats are out, the next server is asked over a fresh connection, and every claim is
//! heartbeaten anew: a server pushes news only of claims that it has heard on that stream. For the
//! same reason the first heartbeat of a claim is sent soon after its mint.

mod alarms;
mod flights;
mod hearing;
mod hold;
mod link;

pub(crate) use hold::{Hold, HoldId};

use crate::lease::Event;
use crate::limits::{BACKOFF_FIRST, SEND_QUEUE_PAUSE, SILENCE_MAX};
use crate::retry::{Backoff, chance, may_help_elsewhere};
use crate::servers::Servers;
use crate::verdict::Verdict;
use alarms::Alarms;
use flights::{Flight, Flights};
use link::{Link, News};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

/// What a guard asks for.
#[derive(Debug)]
pub(crate) enum Order {
    /// Take a claim into care.
    Hold(HoldId, Box<Hold>),
    /// A done is on its way.
    DoneSent(HoldId),
    /// The done was given up.
    DoneGivenUp(HoldId),
    /// Let go of a claim.
    Release(HoldId),
}

/// The task.
#[derive(Debug)]
pub(crate) struct Keeper {
    servers: Arc<Servers>,
    orders: mpsc::UnboundedReceiver<Order>,
    news_sender: mpsc::Sender<News>,
    news: mpsc::Receiver<News>,
    holds: HashMap<HoldId, Hold>,
    alarms: Alarms,
    flights: Flights,
    link: Option<Link>,
    links: u64,
    /// After the end of a stream: when to open the next.
    reopen_at: Option<Instant>,
    /// Streams that have failed in a row.
    backoff: Backoff,
}

impl Keeper {
    /// A keeper without claims.
    pub(crate) fn new(servers: Arc<Servers>, orders: mpsc::UnboundedReceiver<Order>) -> Self {
        let (news_sender, news) = link::news();
        Self {
            servers,
            orders,
            news_sender,
            news,
            holds: HashMap::new(),
            alarms: Alarms::default(),
            flights: Flights::default(),
            link: None,
            links: 0,
            reopen_at: None,
            backoff: Backoff::default(),
        }
    }

    /// Keeps claims until nobody can order anything any more.
    pub(crate) async fn run(mut self) {
        loop {
            let alarm = self.next_alarm();
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order, Instant::now()),
                    None => return,
                },
                // Never closed: the keeper has a sender itself.
                Some(news) = self.news.recv() => self.hear(news, Instant::now()),
                () = until(alarm) => {}
            }
            self.attend(Instant::now());
        }
    }

    fn obey(&mut self, order: Order, now: Instant) {
        match order {
            Order::Hold(id, hold) => {
                self.holds.insert(id, *hold);
                self.attend_to(id, now);
            }
            Order::DoneSent(id) => self.apply(id, Event::DoneSent, now),
            Order::DoneGivenUp(id) => self.apply(id, Event::DoneGivenUp, now),
            Order::Release(id) => {
                self.holds.remove(&id);
                self.alarms.clear(id);
                self.flights.forget(id);
            }
        }
    }

    fn apply(&mut self, id: HoldId, event: Event, now: Instant) {
        if let Some(hold) = self.holds.get_mut(&id) {
            hold.apply(event, now);
            self.attend_to(id, now);
        }
    }

    /// Does what the clock asks for.
    fn attend(&mut self, now: Instant) {
        if self.link.as_ref().is_some_and(Link::is_dead) && self.news.is_empty() {
            self.lose_link(&Verdict::no_answer(), now);
        }
        if self.silent_at().is_some_and(|at| at <= now) {
            self.lose_link(&Verdict::no_answer(), now);
        }
        if self.reopen_at.is_some_and(|at| at <= now) {
            self.reopen_at = None;
            if !self.holds.is_empty() {
                self.open_link(now);
            }
        }
        while let Some(id) = self.alarms.pop_due(now) {
            self.attend_to(id, now);
        }
    }

    /// Sends a claim's heartbeat if it is due, tells its holder what the clock has changed, and
    /// sets its next alarm.
    fn attend_to(&mut self, id: HoldId, now: Instant) {
        let Some(hold) = self.holds.get_mut(&id) else {
            return;
        };
        let mut again_at = None;
        if hold.lease().is_beat_due(now) {
            match self.link.as_ref().map(Link::room) {
                Some(Some(room)) => {
                    let (heartbeat, progress_number) = hold.heartbeat();
                    room.take(self.flights.next_tag(), heartbeat);
                    self.flights.took_off(Flight { hold: id, sent_at: now, progress_number });
                    // Those who sent together do not send again together.
                    let patience = hold.lease().patience().mul_f64(1.0 - chance() / 10.0);
                    hold.apply(Event::Sent { patience }, now);
                }
                Some(None) => again_at = Some(now + SEND_QUEUE_PAUSE),
                // Once it is open, every claim is attended to.
                None => {
                    self.reopen_at.get_or_insert(now);
                }
            }
        }
        hold.tell(now);
        let next = hold.lease().next_change(now).into_iter().chain(again_at).min();
        self.alarms.set(id, next);
    }

    fn open_link(&mut self, now: Instant) {
        self.links += 1;
        self.link = Some(Link::open(self.links, &self.servers, self.news_sender.clone(), now));
        // Whose lease ends first goes first, should there not be room for all.
        let mut all: Vec<(Instant, HoldId)> =
            self.holds.iter().map(|(id, hold)| (hold.lease().write_until(), *id)).collect();
        all.sort_unstable();
        for (_, id) in all {
            self.apply(id, Event::Hail, now);
        }
    }

    /// The stream has ended, or counts as ended. It says nothing of any claim.
    fn lose_link(&mut self, verdict: &Verdict, now: Instant) {
        let Some(link) = self.link.take() else {
            return;
        };
        self.flights.clear();
        let address = &link.picked.address;
        let first = self.backoff.failures() == 0;
        let pause = match verdict {
            Verdict::Again(failure) => {
                if may_help_elsewhere(failure) {
                    self.servers.give_up(&link.picked);
                }
                self.backoff.elsewhere(failure, self.servers.count(), chance())
            }
            Verdict::Refused(_) | Verdict::Failed(_) => {
                self.servers.give_up(&link.picked);
                self.backoff.pause(chance())
            }
        };
        // The first heartbeat that falls due is sent in time, whatever the server asks for.
        let due = self.holds.values().map(|hold| hold.lease().next_beat_at()).min();
        let latest = due.map_or(pause, |due| due.saturating_duration_since(now).max(BACKOFF_FIRST));
        let pause = pause.min(latest);
        self.reopen_at = Some(now + pause);
        if first && !self.holds.is_empty() {
            tracing::warn!(
                address,
                "the stream of heartbeats to {address} has ended: {verdict}; again in {pause:?}"
            );
        } else {
            tracing::debug!(address, "the stream to {address} has ended again: {verdict}");
        }
    }

    /// When the stream counts as broken if nothing comes until then.
    fn silent_at(&self) -> Option<Instant> {
        let link = self.link.as_ref()?;
        let oldest = self.flights.oldest()?;
        Some(oldest.max(link.heard_at) + SILENCE_MAX)
    }

    fn next_alarm(&self) -> Option<Instant> {
        [self.alarms.first(), self.silent_at(), self.reopen_at].into_iter().flatten().min()
    }
}

async fn until(alarm: Option<Instant>) {
    match alarm {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
