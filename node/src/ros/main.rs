//! `vantage_node`: live topics in, points, boxes, markers and answers out (DESIGN section 7).

mod bus;
mod inputs;
mod messages;
mod names;
mod params;
mod topics;
mod watchdog;
mod worker;

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use futures::stream::select;
use futures::{Stream, StreamExt};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use vantage_calibration::Rig;
use vantage_model::DeviceChoice;
use vantage_node::answerer::Answerer;
use vantage_node::source::{KnownCameras, camera_id};
use vantage_scene::CameraId;
use vantage_scene::Stream::Depth;

use bus::Bus;
use inputs::{Inputs, Wanted};
use params::Settings;
use topics::{Camera, GET_VIEWS, QUESTION};
use watchdog::Watchdog;
use worker::{Asked, Outputs, Refusals, Worker};

/// The node's name, unless `-r __node:=` gives another.
const NODE_NAME: &str = "vantage";
/// Longest sleep of the thread that spins: how late a signal is noticed.
const SPIN_LIMIT: Duration = Duration::from_millis(20);
/// A silent topic is said after this long.
const LOOK_EVERY: Duration = Duration::from_secs(4);
/// Questions and requests that wait.
const MOST_QUESTIONS: usize = 16;

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let runtime = Runtime::new().context("starting the runtime")?;
    let stop = stop_on_signal(&runtime)?;
    let mut bus = Bus::join(NODE_NAME)?;
    let (settings, unknown) = params::read(&bus.given_parameters())?;
    for name in unknown {
        tracing::warn!("parameter `{name}` is not one of the node's; it is ignored");
    }
    let device: DeviceChoice = settings.device.parse().context("parameter `device`")?;
    let answerer = Answerer::load(settings.model_dir.as_deref(), settings.mode, device)
        .context("parameters `model_dir`, `mode` and `device`")?;
    tracing::info!("model {}, mode {}, on {}", answerer.name(), answerer.mode(), device.settled());
    if settings.use_sim_time {
        bus.use_sim_time()?;
    }
    runtime.spawn(bus.declare(&settings.values)?);

    let outputs = Outputs::advertise(&mut bus, settings.reliable_output)?;
    let inputs = {
        let _inside = runtime.enter();
        Inputs::subscribe(&mut bus, settings.engine.sync.clone(), wanted(&settings)?)?
    };
    let (asked, questions) = mpsc::channel(MOST_QUESTIONS);
    let refusals = outputs.refusals(answerer.name(), &settings.engine.sync.global_frame);
    let questions_asked = bus.listen_text(QUESTION.name)?.map(Asked::Question);
    let views_asked = bus.serve_views(GET_VIEWS.name)?.map(|request| Asked::Views(Box::new(request)));
    runtime.spawn(pass_on(select(questions_asked, views_asked), asked, refusals));
    let worker = Worker::new(&settings, answerer, outputs, inputs.frames(), questions)?;
    let (handle, stop_worker) = (runtime.handle().clone(), stop.clone());
    let worker = runtime.spawn_blocking(move || handle.block_on(worker.run(stop_worker)));
    tracing::info!("ready: ask on {}", bus.resolve(QUESTION.name));

    let mut watchdog = Watchdog::default();
    let mut looked = Instant::now();
    while !*stop.borrow() && !worker.is_finished() {
        bus.spin(SPIN_LIMIT);
        if looked.elapsed() >= LOOK_EVERY {
            watchdog.look(&bus, &inputs);
            looked = Instant::now();
        }
    }
    // the worker publishes: it ends before the node does
    let fused =
        runtime.block_on(worker).map_err(|error| anyhow!("the thread that fuses and answers failed: {error}"))?;
    let replaced: u64 = inputs.topics.iter().map(|heard| heard.replaced()).sum();
    let skipped = inputs.frames().replaced();
    let stats = inputs.stats();
    tracing::info!(
        "stopped: {} frames complete, {fused} fused, {skipped} replaced by newer ones, {} depth images dropped, \
         {replaced} messages replaced by newer ones",
        stats.frames(),
        stats.dropped_total(Depth)
    );
    drop(bus);
    runtime.shutdown_background();
    Ok(())
}

/// Becomes true at SIGTERM or SIGINT.
fn stop_on_signal(runtime: &Runtime) -> Result<watch::Receiver<bool>> {
    let _inside = runtime.enter();
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let (sender, receiver) = watch::channel(false);
    runtime.spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
            sender.send_replace(true);
        }
    });
    Ok(receiver)
}

/// The cameras to listen to, with what the rig file says about them.
fn wanted(settings: &Settings) -> Result<Wanted> {
    let cameras: Vec<Camera> = match settings.cameras.as_slice() {
        [] => vec![Camera { id: CameraId::default(), name: None }],
        names => {
            let named =
                |(place, name): (usize, &String)| Ok(Camera { id: camera_id(place)?, name: Some(name.clone()) });
            names.iter().enumerate().map(named).collect::<Result<_>>().context("parameter `cameras`")?
        }
    };
    let known = match &settings.rig_file {
        Some(path) => {
            let rig = Rig::load(path).context("parameter `rig_file`")?;
            tracing::info!("rig {}: its calibration holds until camera_info and transforms say otherwise", rig.name);
            KnownCameras::find(&rig, &settings.cameras).context("parameters `cameras` and `rig_file`")?
        }
        None => KnownCameras::default(),
    };
    let (compressed, reliable) = (settings.compressed, settings.reliable_input);
    Ok(Wanted { cameras, known, compressed, reliable })
}

/// Hands questions to the worker; while too many wait, a further one is refused, in the log and by an answer.
async fn pass_on(mut questions: impl Stream<Item = Asked> + Unpin, worker: mpsc::Sender<Asked>, refusals: Refusals) {
    while let Some(question) = questions.next().await {
        match worker.try_send(question) {
            Ok(()) => {}
            Err(TrySendError::Full(asked)) => {
                refusals.refuse(asked, format!("{MOST_QUESTIONS} others wait; ask again later"));
            }
            Err(TrySendError::Closed(asked)) => refusals.refuse(asked, "the node is stopping".to_owned()),
        }
    }
}
