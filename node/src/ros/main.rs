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
use futures::{Stream, StreamExt};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use vantage_model::Reasoner;

use bus::Bus;
use inputs::Inputs;
use topics::QUESTION;
use watchdog::Watchdog;
use worker::{Outputs, Worker};

/// The node's name, unless `-r __node:=` gives another.
const NODE_NAME: &str = "vantage";
/// Longest sleep of the thread that spins: how late a signal is noticed.
const SPIN_LIMIT: Duration = Duration::from_millis(20);
/// A silent topic is said after this long.
const LOOK_EVERY: Duration = Duration::from_secs(4);
/// Questions that wait.
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
    let reasoner = match &settings.model_dir {
        Some(dir) => Reasoner::load(dir)
            .with_context(|| format!("loading the model, parameter `model_dir`: {}", dir.display()))?,
        None => Reasoner::embedded().context("loading the embedded model")?,
    };
    tracing::info!("model {}, {} parameters", reasoner.name(), reasoner.parameters());
    if settings.use_sim_time {
        bus.use_sim_time()?;
    }
    runtime.spawn(bus.declare(&settings.values)?);

    let outputs = Outputs::advertise(&mut bus, settings.reliable_output)?;
    let inputs = {
        let _inside = runtime.enter();
        Inputs::subscribe(&mut bus, settings.engine.sync.clone(), settings.compressed, settings.reliable_input)?
    };
    let (asked, questions) = mpsc::channel(MOST_QUESTIONS);
    runtime.spawn(pass_on(bus.listen_text(QUESTION.name)?, asked));
    let worker = Worker::new(&settings, reasoner, outputs, inputs.frames(), questions)?;
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
    let stats = inputs.stats();
    tracing::info!(
        "stopped: {} frames complete, {fused} fused, {} depth images dropped, {replaced} images replaced by newer ones",
        stats.frames,
        stats.dropped_total()
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

/// Hands questions to the worker; while too many wait, a further one is refused aloud.
async fn pass_on(mut questions: impl Stream<Item = String> + Unpin, worker: mpsc::Sender<String>) {
    while let Some(question) = questions.next().await {
        if let Err(refused) = worker.try_send(question) {
            let question = refused.into_inner();
            tracing::error!("question `{question}` is refused: {MOST_QUESTIONS} others wait");
        }
    }
}
