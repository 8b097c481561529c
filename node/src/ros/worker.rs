//! Frames and questions in, a fused scene and published answers out: the thread that owns scene and model.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use r2r::geometry_msgs::msg::PoseStamped;
use r2r::sensor_msgs::msg::PointCloud2;
use r2r::vantage_interfaces::msg::Answer as AnswerMessage;
use r2r::vision_msgs::msg::Detection3DArray;
use r2r::visualization_msgs::msg::MarkerArray;
use tokio::sync::{mpsc, watch};
use vantage_model::{Answer, AskOptions, ModelError, ViewStrategy};
use vantage_node::answerer::Answerer;
use vantage_node::live::NewestFrames;
use vantage_node::suggest::suggested_view;
use vantage_scene::{RgbdFrame, Scene, SceneConfig};

use super::bus::{Bus, Delivery, ViewsRequest};
use super::messages;
use super::params::Settings;
use super::topics::{ANSWER, DETECTIONS, MARKERS, POINTS, SUGGESTED_VIEW};

/// Everything that the node publishes.
pub(crate) struct Outputs {
    points: r2r::Publisher<PointCloud2>,
    detections: r2r::Publisher<Detection3DArray>,
    markers: r2r::Publisher<MarkerArray>,
    answer: r2r::Publisher<AnswerMessage>,
    suggested_view: r2r::Publisher<PoseStamped>,
}

impl Outputs {
    /// Creates the publishers.
    pub(crate) fn advertise(bus: &mut Bus, reliable: bool) -> Result<Self> {
        let delivery = Delivery::reliable(reliable);
        Ok(Self {
            points: bus.advertise(POINTS.name, delivery)?,
            detections: bus.advertise(DETECTIONS.name, delivery)?,
            markers: bus.advertise(MARKERS.name, delivery)?,
            answer: bus.advertise(ANSWER.name, delivery)?,
            suggested_view: bus.advertise(SUGGESTED_VIEW.name, delivery)?,
        })
    }

    /// For questions that never reach the worker.
    pub(crate) fn refusals(&self, model: &str, global_frame: &str) -> Refusals {
        Refusals { answer: self.answer.clone(), model: model.to_owned(), global_frame: global_frame.to_owned() }
    }
}

/// Answers questions that nobody will work on, so that whoever asked does not wait.
pub(crate) struct Refusals {
    answer: r2r::Publisher<AnswerMessage>,
    model: String,
    global_frame: String,
}

impl Refusals {
    /// Publishes an answer, or responds, with nothing but why there is none.
    pub(crate) fn refuse(&self, asked: Asked, why: String) {
        let header = messages::header(&self.global_frame, 0);
        match asked {
            Asked::Question(question) => {
                tracing::error!("question `{question}` is refused: {why}");
                sent("answer", self.answer.publish(&messages::no_answer(&question, why, &self.model, header)));
            }
            Asked::Views(request) => {
                tracing::error!("the views of `{}` are refused: {why}", request.message.question);
                sent("views", request.respond(messages::no_views(why, header)));
            }
        }
    }
}

/// What the worker is asked for.
pub(crate) enum Asked {
    /// An answer.
    Question(String),
    /// The views that tell most about a question.
    Views(Box<ViewsRequest>),
}

/// Owns the scene and the model.
pub(crate) struct Worker {
    scene: Scene,
    answerer: Answerer,
    ask: AskOptions,
    global_frame: String,
    points_period: Option<Duration>,
    points_published: Option<(Instant, u64)>,
    outputs: Outputs,
    frames: Arc<NewestFrames>,
    questions: mpsc::Receiver<Asked>,
}

impl Worker {
    /// An empty scene.
    ///
    /// # Errors
    /// When a setting of the map is out of range.
    pub(crate) fn new(
        settings: &Settings,
        answerer: Answerer,
        outputs: Outputs,
        frames: Arc<NewestFrames>,
        questions: mpsc::Receiver<Asked>,
    ) -> Result<Self> {
        if settings.ask.map_views && settings.ask.strategy != ViewStrategy::Utility {
            tracing::warn!("parameter `map_views` does nothing with a `view_strategy` that is blind to the question");
        }
        let config: SceneConfig = settings.engine.scene;
        Ok(Self {
            scene: Scene::new(config)?,
            answerer,
            ask: settings.ask.clone(),
            global_frame: settings.engine.sync.global_frame.clone(),
            points_period: settings.points_period,
            points_published: None,
            outputs,
            frames,
            questions,
        })
    }

    /// Works until `stop` changes or nothing can come any more; returns the number of frames fused.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> u64 {
        loop {
            let due = self.points_due();
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                question = self.questions.recv() => match question {
                    Some(Asked::Question(question)) => self.answer(&question, &stop),
                    Some(Asked::Views(request)) => self.tell_views(*request),
                    None => break,
                },
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => self.publish_points(),
                frame = self.frames.next() => self.fuse(&frame),
            }
        }
        self.scene.frames_fused()
    }

    fn fuse(&mut self, frame: &RgbdFrame) {
        match self.scene.fuse(frame) {
            Ok(report) if report.keyframe.is_some() => self.answerer.keep_up(&self.scene),
            Ok(_) => {}
            Err(error) => {
                tracing::error!("the frame at stamp {} is not fused: {error}", frame.stamp);
                return;
            }
        }
        if self.scene.frames_fused() == 1 {
            tracing::info!("first frame fused");
        }
    }

    /// When the points are to be published next; None while they have not changed since they were.
    fn points_due(&self) -> Option<Instant> {
        let period = self.points_period.filter(|_| self.scene.frames_fused() > 0)?;
        match self.points_published {
            None => Some(Instant::now()),
            Some((_, revision)) if revision == self.scene.revision() => None,
            Some((at, _)) => Some(at + period),
        }
    }

    /// Publishes the map's surface, unless nothing changed since it was last.
    fn publish_points(&mut self) {
        let Some(stamp) = self.scene.newest_stamp() else { return };
        let revision = self.scene.revision();
        if self.points_published.is_some_and(|(_, published)| published == revision) {
            return;
        }
        self.points_published = Some((Instant::now(), revision));
        let header = messages::header(&self.global_frame, stamp);
        sent("points", self.outputs.points.publish(&messages::point_cloud(&self.scene.surface(), header)));
    }

    /// Answers; a node that is stopping does not write to the end.
    fn answer(&mut self, question: &str, stop: &watch::Receiver<bool>) {
        tracing::info!("question: {question}");
        let mut go_on = |_: &str| if *stop.borrow() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let result = self.answerer.ask(&self.scene, question, &self.ask, &mut go_on);
        self.publish_points();
        let header = messages::header(&self.global_frame, self.scene.newest_stamp().unwrap_or(0));
        match result {
            Ok(answer) => self.publish_answer(&answer, header),
            Err(error) => {
                let text = why_not(&error);
                tracing::error!("question `{question}` has no answer: {text}");
                let message = messages::no_answer(question, text, self.answerer.name(), header);
                sent("answer", self.outputs.answer.publish(&message));
            }
        }
    }

    /// Responds with the views that an answer would look at.
    fn tell_views(&mut self, request: ViewsRequest) {
        let asked = &request.message;
        let header = messages::header(&self.global_frame, self.scene.newest_stamp().unwrap_or(0));
        let max_views = if asked.count == 0 { self.ask.max_views } else { Some(asked.count as usize) };
        let options = AskOptions { max_views, ..self.ask.clone() };
        let choice = self.answerer.select_views(&self.scene, &asked.question, &options);
        let views = choice.map_err(|error| why_not(&error)).and_then(|choice| {
            messages::views(&choice, self.scene.keyframes(), asked.with_images, &header)
                .map_err(|error| format!("{error:#}"))
        });
        let response = views.unwrap_or_else(|why| {
            tracing::error!("the views of `{}` cannot be told: {why}", asked.question);
            messages::no_views(why, header)
        });
        sent("views", request.respond(response));
    }

    fn publish_answer(&self, answer: &Answer, header: r2r::std_msgs::msg::Header) {
        tracing::info!(
            "answer: {} ({} boxes, {} views, {:.0} ms)",
            answer.answer,
            answer.boxes.len(),
            answer.views.len(),
            answer.latency.total_ms
        );
        sent("detections", self.outputs.detections.publish(&messages::detections(answer, &header)));
        sent("markers", self.outputs.markers.publish(&messages::markers(answer, &header)));
        match suggested_view(&self.scene, answer) {
            Ok(Some(view)) => {
                tracing::info!("what was asked about was hardly seen; a better view is suggested");
                sent("suggested_view", self.outputs.suggested_view.publish(&messages::floor_pose(&view, &header)));
            }
            Ok(None) => {}
            Err(error) => tracing::warn!("no view is suggested: {error}"),
        }
        sent("answer", self.outputs.answer.publish(&messages::answer(answer, self.answerer.name(), header)));
    }
}

/// Why there is no answer, and what to do.
fn why_not(error: &ModelError) -> String {
    match error {
        ModelError::EmptyScene => "nothing has been fused yet; see the node's log for what its inputs lack".to_owned(),
        other => other.to_string(),
    }
}

fn sent(what: &str, result: r2r::Result<()>) {
    if let Err(error) = result {
        tracing::error!("publishing {what}: {error}");
    }
}
