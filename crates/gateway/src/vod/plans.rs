//! Whole files that are planned: each once, however many ask for it, and all of them together in a bounded number of bytes. Who asks
//! for another time again and again makes others wait no longer than that.

use super::limits::{MOVIE_BYTES_MAX, PLAN_BYTES_MAX, PLANNERS_MAX, PLANS_BYTES_MAX};
use super::plan::Plan;
use super::timeline::Timeline;
use media::Time;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is counted together.
const UNIT_BYTES: usize = 1024;

/// Why there is no plan.
#[derive(Debug)]
pub(super) enum NoPlan<E> {
    /// It would be larger than any may be.
    TooLarge,
    /// Others take all the room.
    Busy,
    /// What who makes it says.
    Refused(E),
    /// It was not made.
    Failed(io::Error),
}

/// Plans of whole files.
#[derive(Debug)]
pub(super) struct Plans {
    /// By their names, the one that was used last at the end.
    kept: Mutex<Vec<(u64, Arc<Plan>)>>,
    /// The room that is left, in [`UNIT_BYTES`].
    room: Arc<Semaphore>,
    /// Who makes a plan holds one of them, so that others who want it wait for it.
    making: [tokio::sync::Mutex<()>; PLANNERS_MAX],
}

impl Default for Plans {
    fn default() -> Self {
        let room = Arc::new(Semaphore::new(PLANS_BYTES_MAX / UNIT_BYTES));
        Self { kept: Mutex::default(), room, making: Default::default() }
    }
}

impl Plans {
    /// The plan of this name. If there is none, `make` makes it, on a thread that may take its time; it will have `bytes`, about.
    pub(super) async fn get<E: Send + 'static>(
        &self,
        key: u64,
        bytes: usize,
        make: impl FnOnce() -> Result<Plan, E> + Send + 'static,
    ) -> Result<Arc<Plan>, NoPlan<E>> {
        if let Some(plan) = self.known(key) {
            return Ok(plan);
        }
        if bytes > PLAN_BYTES_MAX {
            return Err(NoPlan::TooLarge);
        }
        let _turn = self.making[(key % PLANNERS_MAX as u64) as usize].lock().await;
        if let Some(plan) = self.known(key) {
            return Ok(plan);
        }
        let room = self.reserve(bytes).ok_or(NoPlan::Busy)?;
        // Also when nobody waits for it any more, it takes room until it is dropped.
        let made = tokio::task::spawn_blocking(move || make().map(|plan| Arc::new(plan.within(room))));
        let plan = made.await.map_err(|error| NoPlan::Failed(io::Error::other(error)))?;
        let plan = plan.map_err(NoPlan::Refused)?;
        self.keep(key, plan.clone());
        Ok(plan)
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(u64, Arc<Plan>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, key: u64) -> Option<Arc<Plan>> {
        let mut kept = self.kept();
        let at = kept.iter().position(|(other, _)| *other == key)?;
        let found = kept.remove(at);
        let plan = found.1.clone();
        kept.push(found);
        Some(plan)
    }

    /// Keeps one, and forgets what was used longest ago.
    fn keep(&self, key: u64, plan: Arc<Plan>) {
        let mut kept = self.kept();
        kept.push((key, plan));
        let mut bytes: usize = kept.iter().map(|(_, plan)| plan.weight()).sum();
        while bytes > MOVIE_BYTES_MAX && kept.len() > 1 {
            bytes -= kept.remove(0).1.weight();
        }
    }

    /// Room for a plan. Those that are only kept make it, if need be.
    fn reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).ok()?;
        loop {
            if let Ok(room) = self.room.clone().try_acquire_many_owned(units) {
                return Some(room);
            }
            let mut kept = self.kept();
            if kept.is_empty() {
                return None;
            }
            kept.remove(0);
        }
    }
}

/// How many samples there are in `window`, about.
pub(super) fn samples(timeline: &Timeline, window: &Range<Time>) -> usize {
    let of_part = |part: &super::timeline::Part| -> usize {
        let local = part.local(window);
        let of_track = |track: &super::span::Track| {
            let until = |time: Time| {
                let ticks = time.to_ticks(track.media.timescale);
                track.samples.partition_point(|sample| sample.dts.saturating_add(track.shift) < ticks)
            };
            until(local.end).saturating_sub(until(local.start))
        };
        part.span.tracks.iter().map(of_track).sum()
    };
    timeline.parts.iter().map(of_part).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    type Made = Result<Arc<Plan>, NoPlan<()>>;

    async fn get(plans: &Plans, key: u64, bytes: usize) -> Made {
        plans.get(key, bytes, || Ok(Plan::default())).await
    }

    #[tokio::test]
    async fn plans_that_are_read_take_no_more_than_their_room_and_those_that_are_kept_make_it() {
        let plans = Plans::default();
        assert!(matches!(get(&plans, 1, PLAN_BYTES_MAX + 1).await, Err(NoPlan::TooLarge)));
        let mut read = Vec::new();
        for key in 0.. {
            match get(&plans, key, PLAN_BYTES_MAX).await {
                Ok(plan) => read.push(plan),
                Err(NoPlan::Busy) => break,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert_eq!(read.len(), PLANS_BYTES_MAX / PLAN_BYTES_MAX);
        read.pop();
        assert!(get(&plans, 1000, PLAN_BYTES_MAX).await.is_ok(), "nobody reads it any more");
        assert!(get(&plans, 1001, PLAN_BYTES_MAX).await.is_ok(), "it is only kept");
    }

    #[tokio::test]
    async fn a_plan_that_many_ask_for_is_made_once() {
        let (plans, made) = (Plans::default(), Arc::new(AtomicUsize::new(0)));
        let ask = || {
            let made = made.clone();
            plans.get(7, 1000, move || {
                made.fetch_add(1, Ordering::Relaxed);
                Ok::<_, ()>(Plan::default())
            })
        };
        let (one, other, another) = tokio::join!(ask(), ask(), ask());
        assert!(one.is_ok() && other.is_ok() && another.is_ok());
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }
}
