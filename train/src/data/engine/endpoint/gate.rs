//! Requests that want to go out, in; leave to go, at the rates and within the budget that were set, out.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::data::engine::item::Spent;

/// Tokens to which prices refer.
const PRICED_TOKENS: f64 = 1e6;
const SECS_PER_MINUTE: f64 = 60.0;

/// What a run may take.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Limits {
    /// Requests started a minute.
    pub(crate) requests_per_minute: Option<f64>,
    /// Tokens of prompts and replies a minute.
    pub(crate) tokens_per_minute: Option<f64>,
    /// Tokens in all, of earlier runs into the same folder too.
    pub(crate) max_tokens_total: Option<u64>,
    /// Money in all, likewise.
    pub(crate) max_cost: Option<f64>,
    /// Price of a million tokens of prompts.
    pub(crate) price_in: f64,
    /// Price of a million tokens of replies.
    pub(crate) price_out: f64,
}

/// What `spent` costs.
pub(crate) fn cost(spent: Spent, price_in: f64, price_out: f64) -> f64 {
    (spent.prompt_tokens as f64 * price_in + spent.reply_tokens as f64 * price_out) / PRICED_TOKENS
}

/// Why a run ends before its work is done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum StopReason {
    /// It ends for another reason.
    #[error("interrupted")]
    Interrupted,
    /// One more request might take more than is left.
    #[error(
        "the budget is used: {tokens} tokens, cost {cost:.4}, and one more request may take {next}; raise \
         --max-tokens-total or --max-cost"
    )]
    Budget {
        /// Tokens used.
        tokens: u64,
        /// What they cost.
        cost: f64,
        /// Tokens of the next request at most.
        next: u64,
    },
    /// The endpoint does not answer.
    #[error("the endpoint is not available: {0}")]
    Unavailable(String),
    /// The endpoint refuses every request.
    #[error("the endpoint refuses: {0}")]
    Refused(String),
}

/// When the next request may start.
#[derive(Debug)]
struct Pacer {
    request: Duration,
    secs_per_token: f64,
    next_request: Instant,
    next_tokens: Instant,
}

impl Pacer {
    fn new(limits: &Limits, now: Instant) -> Self {
        let interval = limits.requests_per_minute.map_or(0.0, |rate| SECS_PER_MINUTE / rate);
        let secs_per_token = limits.tokens_per_minute.map_or(0.0, |rate| SECS_PER_MINUTE / rate);
        Self { request: seconds(interval), secs_per_token, next_request: now, next_tokens: now }
    }

    fn wait(&self, now: Instant) -> Duration {
        self.next_request.max(self.next_tokens).saturating_duration_since(now)
    }

    fn take(&mut self, now: Instant, tokens: u64) {
        let later = |at: Instant, by: Duration| at.max(now).checked_add(by).unwrap_or(at);
        self.next_request = later(self.next_request, self.request);
        self.next_tokens = later(self.next_tokens, self.of_tokens(tokens));
    }

    /// Fewer tokens were used than taken.
    fn give_back(&mut self, tokens: u64) {
        self.next_tokens = self.next_tokens.checked_sub(self.of_tokens(tokens)).unwrap_or(self.next_tokens);
    }

    fn hold(&mut self, until: Instant) {
        self.next_request = self.next_request.max(until);
    }

    fn of_tokens(&self, tokens: u64) -> Duration {
        seconds(self.secs_per_token * tokens as f64)
    }
}

/// At most a day.
fn seconds(secs: f64) -> Duration {
    const DAY_SECS: f64 = 86_400.0;
    Duration::try_from_secs_f64(secs.min(DAY_SECS)).unwrap_or_default()
}

#[derive(Debug)]
struct State {
    stopped: bool,
    used: Spent,
    /// What requests under way may take at most.
    reserved: Spent,
    pacer: Pacer,
}

/// Lets requests out.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: Limits,
    state: Mutex<State>,
    changed: Condvar,
}

impl Gate {
    /// `used` is what earlier runs took.
    pub(crate) fn new(limits: Limits, used: Spent) -> Self {
        let pacer = Pacer::new(&limits, Instant::now());
        let state = Mutex::new(State { stopped: false, used, reserved: Spent::NONE, pacer });
        Self { limits, state, changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // the state is whole after every statement
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, longest: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, longest).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits until a request that takes at most `bound` may go out.
    ///
    /// # Errors
    /// When the run ends, or the budget does not hold it.
    pub(crate) fn admit(&self, bound: Spent) -> Result<(), StopReason> {
        /// Longest wait before the state is looked at again.
        const LOOK_AGAIN: Duration = Duration::from_secs(1);
        let mut state = self.lock();
        loop {
            if state.stopped {
                return Err(StopReason::Interrupted);
            }
            if !self.fits(&state, bound) {
                // what is under way may take less than it might
                if state.reserved.requests > 0 {
                    state = self.wait(state, LOOK_AGAIN);
                    continue;
                }
                state.stopped = true;
                self.changed.notify_all();
                let cost = cost(state.used, self.limits.price_in, self.limits.price_out);
                return Err(StopReason::Budget { tokens: state.used.tokens(), cost, next: bound.tokens() });
            }
            let now = Instant::now();
            let wait = state.pacer.wait(now);
            if wait.is_zero() {
                state.pacer.take(now, bound.tokens());
                state.reserved.add(bound);
                return Ok(());
            }
            state = self.wait(state, wait.min(LOOK_AGAIN));
        }
    }

    fn fits(&self, state: &State, bound: Spent) -> bool {
        let mut most = state.used;
        most.add(state.reserved);
        most.add(bound);
        let Limits { max_tokens_total, max_cost, price_in, price_out, .. } = self.limits;
        max_tokens_total.is_none_or(|cap| most.tokens() <= cap)
            && max_cost.is_none_or(|cap| cost(most, price_in, price_out) <= cap)
    }

    /// A request admitted with `bound` is over and took `actual`.
    pub(crate) fn settle(&self, bound: Spent, actual: Spent) {
        let mut state = self.lock();
        state.used.add(actual);
        let reserved = &mut state.reserved;
        reserved.requests = reserved.requests.saturating_sub(bound.requests);
        reserved.prompt_tokens = reserved.prompt_tokens.saturating_sub(bound.prompt_tokens);
        reserved.reply_tokens = reserved.reply_tokens.saturating_sub(bound.reply_tokens);
        state.pacer.give_back(bound.tokens().saturating_sub(actual.tokens()));
        self.changed.notify_all();
    }

    /// No request goes out for so long.
    pub(crate) fn hold(&self, wait: Duration) {
        if let Some(until) = Instant::now().checked_add(wait) {
            self.lock().pacer.hold(until);
        }
    }

    /// Sleeps, unless the run ends.
    pub(crate) fn sleep(&self, wait: Duration) {
        let start = Instant::now();
        let mut state = self.lock();
        while let Some(left) = wait.checked_sub(start.elapsed()).filter(|left| !left.is_zero() && !state.stopped) {
            state = self.wait(state, left);
        }
    }

    /// Ends every wait; nothing is admitted any more.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(prompt: u64, reply: u64) -> Spent {
        Spent { requests: 1, prompt_tokens: prompt, reply_tokens: reply }
    }

    #[test]
    fn requests_and_tokens_are_paced() {
        let start = Instant::now();
        let limits = Limits { requests_per_minute: Some(60.0), tokens_per_minute: Some(600.0), ..Limits::default() };
        let mut pacer = Pacer::new(&limits, start);
        let after = |secs: f64| start + Duration::from_secs_f64(secs);
        assert!(pacer.wait(start).is_zero());
        pacer.take(start, 5);
        assert_eq!(pacer.wait(start), Duration::from_secs(1));
        assert_eq!(pacer.wait(after(0.75)), Duration::from_millis(250));
        // 100 tokens take 10 s of 600 a minute
        pacer.take(after(2.0), 100);
        assert_eq!(pacer.wait(after(2.0)), Duration::from_secs(10));
        pacer.give_back(70);
        assert_eq!(pacer.wait(after(2.0)), Duration::from_secs(3));
        pacer.hold(after(9.0));
        assert_eq!(pacer.wait(after(2.0)), Duration::from_secs(7));
        // an idle hour is no credit
        pacer.take(after(3600.0), 0);
        assert_eq!(pacer.wait(after(3600.0)), Duration::from_secs(1));
    }

    #[test]
    fn the_budget_holds_what_is_under_way() {
        let gate = Gate::new(Limits { max_tokens_total: Some(100), ..Limits::default() }, bound(10, 0));
        gate.admit(bound(40, 10)).unwrap();
        gate.settle(bound(40, 10), bound(20, 5));
        gate.admit(bound(40, 25)).unwrap();
        gate.settle(bound(40, 25), bound(30, 25));
        let refused = gate.admit(bound(10, 1)).unwrap_err();
        assert_eq!(refused, StopReason::Budget { tokens: 90, cost: 0.0, next: 11 });
        assert_eq!(gate.admit(bound(1, 1)).unwrap_err(), StopReason::Interrupted, "the run is over");
    }

    #[test]
    fn one_waits_for_what_the_other_does_not_take() {
        let gate = Gate::new(Limits { max_tokens_total: Some(100), ..Limits::default() }, Spent::NONE);
        gate.admit(bound(60, 20)).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| gate.admit(bound(60, 20)));
            gate.settle(bound(60, 20), bound(10, 5));
            assert!(second.join().unwrap().is_ok());
        });
    }

    #[test]
    fn money_is_counted_by_direction() {
        let limits = Limits { max_cost: Some(1.0), price_in: 1.0, price_out: 10.0, ..Limits::default() };
        let gate = Gate::new(limits, Spent::NONE);
        gate.admit(bound(100_000, 50_000)).unwrap();
        gate.settle(bound(100_000, 50_000), bound(100_000, 50_000));
        assert!((cost(bound(100_000, 50_000), 1.0, 10.0) - 0.6).abs() < 1e-12);
        assert!(matches!(gate.admit(bound(100_000, 50_000)), Err(StopReason::Budget { .. })));
    }

    #[test]
    fn stopping_ends_sleeps_and_waits() {
        let gate = Gate::new(Limits { requests_per_minute: Some(0.01), ..Limits::default() }, Spent::NONE);
        gate.admit(bound(1, 1)).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| gate.admit(bound(1, 1)));
            let sleeping = scope.spawn(|| gate.sleep(Duration::from_secs(3600)));
            gate.stop();
            assert_eq!(waiting.join().unwrap(), Err(StopReason::Interrupted));
            sleeping.join().unwrap();
        });
    }
}
