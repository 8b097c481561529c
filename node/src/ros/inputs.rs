//! Subscriptions in, the newest complete frame out.
//!
//! Each stream is drained by its own task, because a stream that is not read drops its newest message. An image waits in a
//! slot where a newer one replaces it, so that a slow decoder sees the newest and never a backlog.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use futures::{Stream, StreamExt};
use tokio::sync::watch;
use vantage_node::live::Intake;
use vantage_node::source::decode::{Carries, decode};
use vantage_scene::{RgbdFrame, SyncConfig, SyncStats};

use super::bus::{Bus, Delivery};
use super::topics::{INPUTS, Input};

/// What came on one topic.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) input: &'static Input,
    /// Full name.
    pub(crate) topic: String,
    pub(crate) type_name: &'static str,
    pub(crate) delivery: Delivery,
    received: AtomicU64,
    decoded: AtomicU64,
}

impl Heard {
    /// Messages so far.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Images that were not decoded because a newer one came first.
    pub(crate) fn replaced(&self) -> u64 {
        self.received().saturating_sub(self.decoded.load(Ordering::Relaxed))
    }
}

/// All subscriptions of the camera.
pub(crate) struct Inputs {
    pub(crate) topics: Vec<Arc<Heard>>,
    intake: Arc<Mutex<Intake>>,
    frames: watch::Receiver<Option<RgbdFrame>>,
}

/// Where decoded messages go.
#[derive(Clone)]
struct Joint {
    intake: Arc<Mutex<Intake>>,
    frames: Arc<watch::Sender<Option<RgbdFrame>>>,
}

impl Inputs {
    /// Subscribes to everything; must be called inside the runtime that shall decode.
    pub(crate) fn subscribe(bus: &mut Bus, sync: SyncConfig, compressed: bool, reliable: bool) -> Result<Self> {
        let intake = Arc::new(Mutex::new(Intake::new(sync)));
        let (sender, frames) = watch::channel(None);
        let joint = Joint { intake: Arc::clone(&intake), frames: Arc::new(sender) };
        let mut topics = Vec::new();
        for input in INPUTS {
            let carries = input.carries(compressed);
            let delivery = match carries {
                Carries::Transforms { fixed: false } => Delivery::Burst,
                Carries::Transforms { fixed: true } => Delivery::Latched,
                _ => Delivery::reliable(reliable),
            };
            let topic = input.topic(bus.resolve(input.name), compressed);
            let type_name = input.type_name(compressed);
            let messages = bus.listen(&topic, type_name, delivery)?;
            tracing::info!("listening to {topic} ({type_name})");
            let counters = (AtomicU64::new(0), AtomicU64::new(0));
            let heard =
                Arc::new(Heard { input, topic, type_name, delivery, received: counters.0, decoded: counters.1 });
            topics.push(Arc::clone(&heard));
            match carries {
                Carries::Images { .. } => {
                    let (slot, newest) = watch::channel(None);
                    tokio::spawn(drain(messages, slot, Arc::clone(&heard)));
                    tokio::spawn(decode_newest(newest, carries, heard, joint.clone()));
                }
                _ => {
                    tokio::spawn(decode_all(messages, carries, heard, joint.clone()));
                }
            }
        }
        Ok(Self { topics, intake, frames })
    }

    /// The newest complete frame.
    pub(crate) fn frames(&self) -> watch::Receiver<Option<RgbdFrame>> {
        self.frames.clone()
    }

    /// What the synchroniser counted so far.
    pub(crate) fn stats(&self) -> SyncStats {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner).stats().clone()
    }
}

impl Joint {
    fn take(&self, heard: &Heard, carries: Carries, bytes: &[u8]) {
        let decoded = decode(carries, bytes);
        heard.decoded.fetch_add(1, Ordering::Relaxed);
        let mut intake = self.intake.lock().unwrap_or_else(PoisonError::into_inner);
        // sent under the lock, so that frames keep their order
        for frame in intake.take(&heard.topic, decoded) {
            self.frames.send_replace(Some(frame));
        }
    }
}

/// Moves messages to the slot; one that nobody took is replaced.
async fn drain(
    mut messages: impl Stream<Item = Vec<u8>> + Unpin,
    slot: watch::Sender<Option<Arc<Vec<u8>>>>,
    heard: Arc<Heard>,
) {
    while let Some(bytes) = messages.next().await {
        heard.received.fetch_add(1, Ordering::Relaxed);
        slot.send_replace(Some(Arc::new(bytes)));
    }
}

async fn decode_newest(
    mut newest: watch::Receiver<Option<Arc<Vec<u8>>>>,
    carries: Carries,
    heard: Arc<Heard>,
    joint: Joint,
) {
    while newest.changed().await.is_ok() {
        let bytes = newest.borrow_and_update().clone();
        if let Some(bytes) = bytes {
            joint.take(&heard, carries, &bytes);
        }
    }
}

async fn decode_all(
    mut messages: impl Stream<Item = Vec<u8>> + Unpin,
    carries: Carries,
    heard: Arc<Heard>,
    joint: Joint,
) {
    while let Some(bytes) = messages.next().await {
        heard.received.fetch_add(1, Ordering::Relaxed);
        joint.take(&heard, carries, &bytes);
    }
}
