//! A scene in, questions and chains of thought of an OpenAI-compatible chat endpoint out: three requests a sample, for
//! the question, for the thought with its answer, and for the answer that follows from the thought alone.

mod client;
mod gate;
mod prompts;
mod reply;
mod retry;
mod views;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) use client::{Client, ClientConfig, Key};
pub(crate) use gate::{Limits, StopReason, cost};

use self::client::CallError;
use self::prompts::Prompt;
use super::item::{Failure, Reason, Spent};
use super::scene::EngineScene;
use super::writer::{Draft, WriteError, Writer};
use crate::tasks::Task;

/// Tasks that an endpoint can be asked to write; the others rest on a place or on turns that nobody has chosen.
pub(crate) const TASKS: [Task; 4] = [Task::Qa, Task::Grounding, Task::ObjectCaption, Task::Planning];

/// The writer that asks an endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// How it is reached.
    pub(crate) client: Client,
    /// Tasks, one after the other.
    pub(crate) tasks: Vec<Task>,
    /// Questions of each scene.
    pub(crate) per_scene: u32,
    /// Views shown with each request.
    pub(crate) images: usize,
    /// Of what is asked about.
    pub(crate) seed: u64,
}

/// A scene with what is said and shown of it.
#[derive(Debug)]
pub(crate) struct ShownScene {
    scene: EngineScene,
    description: String,
    views: Vec<String>,
}

impl Endpoint {
    fn call(&self, prompt: &Prompt<'_>, salt: u64, spent: &mut Spent) -> Result<String, WriteError> {
        self.client.chat(prompt, salt, spent).map_err(|error| match error {
            CallError::Stop(reason) => WriteError::Stop(reason),
            CallError::Refused { status, text } => {
                WriteError::Rejected(Failure::new(Reason::Refused, format!("status {status}: {text}")))
            }
            CallError::BadReply(fault) => WriteError::Rejected(Failure::new(Reason::BadReply, fault)),
        })
    }
}

impl Writer for Endpoint {
    type Opened = ShownScene;

    fn open(&self, scene: EngineScene) -> Result<ShownScene, String> {
        let views = views::of_scene(&scene, self.images)?;
        Ok(ShownScene { description: scene.description(), views, scene })
    }

    fn scene<'a>(&self, opened: &'a ShownScene) -> &'a EngineScene {
        &opened.scene
    }

    fn slots(&self, _: &ShownScene) -> u32 {
        self.per_scene
    }

    fn write(&self, opened: &ShownScene, slot: u32, draft: &mut Draft, spent: &mut Spent) -> Result<(), WriteError> {
        let scene = &opened.scene;
        let salt = self.seed ^ u64::from(crc32fast::hash(scene.id.as_bytes())) ^ (u64::from(slot) << 32);
        let mut rng = ChaCha8Rng::seed_from_u64(salt);
        draft.task = *self.tasks.get(slot as usize % self.tasks.len().max(1)).unwrap_or(&Task::Qa);
        let focus = scene.objects.choose(&mut rng).map_or("room", |o| o.label.as_str());
        let shown = Prompt { description: &opened.description, views: &opened.views, ..Prompt::default() };

        let text = prompts::question(draft.task, focus, slot + 1, self.per_scene);
        let reply = self.call(&Prompt { text, ..shown.clone() }, rng.random(), spent)?;
        draft.text.clone_from(&reply);
        let asked = reply::question(&reply, &scene.objects).map_err(WriteError::Rejected)?;
        draft.question = asked.question;
        draft.targets = vec![asked.target];

        let text = prompts::thought(draft.task, &draft.question);
        let reply = self.call(&Prompt { text, ..shown }, rng.random(), spent)?;
        draft.text = reply::unfenced(&reply).to_owned();
        Ok(())
    }

    fn derive(&self, draft: &Draft, think: &str, spent: &mut Spent) -> Result<String, WriteError> {
        let text = prompts::answer_of(draft.task, &draft.question, think);
        let salt = self.seed ^ u64::from(crc32fast::hash(think.as_bytes()));
        let reply = self.call(&Prompt { text, ..Prompt::default() }, salt, spent)?;
        Ok(reply::unfenced(reply::without_thought(&reply)).to_owned())
    }

    fn interrupt(&self) {
        self.client.interrupt();
    }
}
