//! Subscriptions in, the newest complete frame of each camera out.
//!
//! Each stream is drained by its own task, because a stream that is not read drops its newest message. An image waits in a
//! slot where a newer one replaces it, so that a slow decoder sees the newest and never a backlog.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use futures::{Stream, StreamExt};
use tokio::sync::watch;
use vantage_node::live::{Intake, NewestFrames};
use vantage_node::source::KnownCameras;
use vantage_node::source::decode::{Carries, decode};
use vantage_scene::{CameraId, SyncConfig, SyncStats};

use super::bus::{Bus, Delivery};
use super::topics::{Camera, INPUTS, Input};

/// What came on one topic.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Of which camera; `None` for the transforms, which all share.
    pub(crate) camera_id: Option<CameraId>,
    /// Nothing can be fused without it.
    pub(crate) needed: bool,
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

/// All subscriptions.
pub(crate) struct Inputs {
    pub(crate) topics: Vec<Arc<Heard>>,
    pub(crate) cameras: Vec<Camera>,
    intake: Arc<Mutex<Intake>>,
    frames: Arc<NewestFrames>,
}

/// What the node listens to, and how.
pub(crate) struct Wanted {
    pub(crate) cameras: Vec<Camera>,
    /// What a rig file says about them.
    pub(crate) known: KnownCameras,
    pub(crate) compressed: bool,
    pub(crate) reliable: bool,
}

/// Where decoded messages go.
#[derive(Clone)]
struct Joint {
    intake: Arc<Mutex<Intake>>,
    frames: Arc<NewestFrames>,
}

impl Inputs {
    /// Subscribes to everything; must be called inside the runtime that shall decode.
    pub(crate) fn subscribe(bus: &mut Bus, mut sync: SyncConfig, wanted: Wanted) -> Result<Self> {
        let Wanted { cameras, known, compressed, reliable } = wanted;
        sync.corrections.extend(known.corrections());
        let mut intake = Intake::new(sync);
        // messages override these: a later camera_info replaces one, a later transform takes the frame to itself
        intake.prepare(known.infos(|_, _| false));
        intake.prepare(known.transforms(&BTreeSet::new()));
        let (intake, frames) = (Arc::new(Mutex::new(intake)), Arc::new(NewestFrames::default()));
        let mut inputs = Self { topics: Vec::new(), cameras, intake, frames };
        for input in INPUTS.iter().filter(|input| !input.is_of_camera()) {
            inputs.listen(bus, input, None, compressed, reliable)?;
        }
        for camera in inputs.cameras.clone() {
            for input in INPUTS.iter().filter(|input| input.is_of_camera()) {
                inputs.listen(bus, input, Some((&camera, known.knows(camera.id))), compressed, reliable)?;
            }
        }
        Ok(inputs)
    }

    /// Subscribes to one topic; `camera` comes with whether its intrinsics are known already.
    fn listen(
        &mut self,
        bus: &mut Bus,
        input: &'static Input,
        camera: Option<(&Camera, bool)>,
        compressed: bool,
        reliable: bool,
    ) -> Result<()> {
        let carries = input.carries(compressed);
        let delivery = match carries {
            Carries::Transforms { fixed: false } => Delivery::Burst,
            Carries::Transforms { fixed: true } => Delivery::Latched,
            _ => Delivery::reliable(reliable),
        };
        let name = camera.map_or_else(|| input.name.to_owned(), |(camera, _)| input.name_for(camera));
        let topic = input.topic(bus.resolve(&name), compressed);
        let type_name = input.type_name(compressed);
        let messages = bus.listen(&topic, type_name, delivery)?;
        tracing::info!("listening to {topic} ({type_name})");
        let is_known = matches!(carries, Carries::CameraInfo(_)) && camera.is_some_and(|(_, known)| known);
        let heard = Arc::new(Heard {
            camera_id: camera.map(|(camera, _)| camera.id),
            needed: input.needed && !is_known,
            topic,
            type_name,
            delivery,
            received: AtomicU64::new(0),
            decoded: AtomicU64::new(0),
        });
        self.topics.push(Arc::clone(&heard));
        let joint = Joint { intake: Arc::clone(&self.intake), frames: Arc::clone(&self.frames) };
        match carries {
            Carries::Images { .. } => {
                let (slot, newest) = watch::channel(None);
                tokio::spawn(drain(messages, slot, Arc::clone(&heard)));
                tokio::spawn(decode_newest(newest, carries, heard, joint));
            }
            _ => {
                tokio::spawn(decode_all(messages, carries, heard, joint));
            }
        }
        Ok(())
    }

    /// The newest complete frame of each camera.
    pub(crate) fn frames(&self) -> Arc<NewestFrames> {
        Arc::clone(&self.frames)
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
        // put under the lock, so that frames keep their order
        for frame in intake.take(&heard.topic, heard.camera_id.unwrap_or_default(), decoded) {
            self.frames.put(frame);
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
