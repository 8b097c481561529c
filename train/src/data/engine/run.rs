//! `vantage-train data generate`: scenes are opened one after the other, their questions written by several threads, and
//! what came of them kept by this one.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use vantage_node::sink::stdout;

use super::args::{GenerateArgs, Plan, plan};
use super::endpoint::{Client, Endpoint, Limits, StopReason, cost};
use super::folder::{Counts, Folder, parts};
use super::item::{Item, ItemKey, Outcome, Spent};
use super::journal::Entry;
use super::pipeline::work;
use super::scene::SceneList;
use super::templates::Templates;
use super::writer::Writer;

/// Most pieces of work that one write to the disk keeps.
const MAX_BATCH: usize = 256;
/// How often the progress bar is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// The last line of `--json`.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    out: &'a Path,
    finished: bool,
    #[serde(flatten)]
    counts: &'a Counts,
    #[serde(flatten)]
    spent: Spent,
    cost: f64,
}

/// What a thread has to say.
enum Message {
    Done(Item),
    /// A piece of work that stays undone.
    Ended(StopReason, Spent),
    /// A scene is opened: how many pieces it has.
    Opened(u32),
    BadScene(String),
}

/// How the work ended.
#[derive(Debug, Default)]
struct Ending {
    bad_scenes: u64,
    /// Why before its end.
    stopped: Option<StopReason>,
    /// What `--strict` does not forgive.
    fault: Option<String>,
}

/// A piece of work to do.
struct Job<T> {
    opened: Arc<T>,
    key: ItemKey,
}

/// Runs the command.
///
/// # Errors
/// When an argument is wrong, the folder holds something else, a file cannot be written, or the run ends before its work
/// is done; what was done until then stays.
pub fn run(args: &GenerateArgs) -> Result<()> {
    let Plan { settings, scenes, bad_scenes, client, limits } = plan(args)?;
    for fault in &bad_scenes {
        ensure!(!args.strict, "--strict: {fault}");
        eprintln!("left out: {fault}");
    }
    ensure!(scenes.len() > 0, "no scene can be asked about");
    // before anything is paid for
    parts(&scenes, &settings)?;
    let mut folder = Folder::open(&args.out, &settings)?;
    let mut ending = match client {
        Some(config) => {
            let writer = Endpoint {
                client: Client::new(config, limits, folder.spent()),
                tasks: args.tasks.clone(),
                per_scene: args.per_scene,
                images: args.images,
                seed: args.seed,
            };
            write_all(&writer, &mut folder, &scenes, args, &limits)?
        }
        None => {
            let writer = Templates { per_scene: args.per_scene, seed: args.seed };
            write_all(&writer, &mut folder, &scenes, args, &limits)?
        }
    };
    ending.bad_scenes += bad_scenes.len() as u64;
    let finished = ending.stopped.is_none() && ending.fault.is_none();
    let counts = folder.assemble(&scenes, ending.bad_scenes, finished)?;
    report(args, &counts, folder.spent(), &limits, finished)?;
    let resume = "what is done stays; the same command goes on from here";
    if let Some(fault) = ending.fault {
        bail!("--strict: {fault} ({resume})");
    }
    ending.stopped.map_or(Ok(()), |reason| Err(anyhow!("{reason} ({resume})")))
}

fn report(args: &GenerateArgs, counts: &Counts, spent: Spent, limits: &Limits, finished: bool) -> Result<()> {
    let cost = cost(spent, limits.price_in, limits.price_out);
    if args.json {
        let summary = Summary { kind: "generated", out: &args.out, finished, counts, spent, cost };
        return stdout::print(&serde_json::to_string(&summary)?);
    }
    let reasons: Vec<String> = counts.reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    stdout::print(&format!(
        "{}: {} samples ({} train, {} val), {} rejected{reasons}, {} scenes left out",
        args.out.display(),
        counts.samples,
        counts.train,
        counts.val,
        counts.rejected,
        counts.bad_scenes
    ))?;
    if spent.requests > 0 {
        stdout::print(&format!(
            "{} requests, {} prompt tokens, {} reply tokens, cost {cost:.4}",
            spent.requests, spent.prompt_tokens, spent.reply_tokens
        ))?;
    }
    Ok(())
}

/// Does all work that is not done yet.
fn write_all<W: Writer>(
    writer: &W,
    folder: &mut Folder,
    scenes: &SceneList,
    args: &GenerateArgs,
    limits: &Limits,
) -> Result<Ending> {
    let ending = AtomicBool::new(false);
    let (done, whole) = (folder.done(), folder.whole_scenes());
    let (jobs_in, jobs) = sync_channel::<Job<W::Opened>>(2 * args.concurrency);
    let (messages_in, messages) = sync_channel::<Message>(2 * args.concurrency);
    let jobs = Mutex::new(jobs);
    let bar = progress_bar(u64::from(scenes.len()) * u64::from(args.per_scene));
    let partial = done.iter().filter(|key| !whole.contains(&key.scene)).count() as u64;
    bar.set_position(partial + whole.len() as u64 * u64::from(args.per_scene));
    thread::scope(|scope| {
        let (ending, jobs) = (&ending, &jobs);
        let to_open = messages_in.clone();
        scope.spawn(move || open_scenes(writer, scenes, &done, &whole, ending, &jobs_in, &to_open));
        for _ in 0..args.concurrency {
            let messages_in = messages_in.clone();
            scope.spawn(move || do_jobs(writer, ending, jobs, &messages_in));
        }
        drop(messages_in);
        let kept = keep_all(folder, &messages, args, limits, &bar, &|| {
            ending.store(true, Ordering::Relaxed);
            writer.interrupt();
        });
        if kept.is_err() {
            // the threads must end, whatever they wait for
            ending.store(true, Ordering::Relaxed);
            writer.interrupt();
        }
        drop(messages);
        bar.finish_and_clear();
        kept
    })
}

fn progress_bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {elapsed} (left {eta})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

/// Opens scene after scene and hands out what is to be done; ends when nobody listens any more.
fn open_scenes<W: Writer>(
    writer: &W,
    scenes: &SceneList,
    done: &HashSet<ItemKey>,
    whole: &HashSet<u32>,
    ending: &AtomicBool,
    jobs: &SyncSender<Job<W::Opened>>,
    messages: &SyncSender<Message>,
) {
    for scene in (0..scenes.len()).filter(|scene| !whole.contains(scene)) {
        if ending.load(Ordering::Relaxed) {
            return;
        }
        let Some(described) = scenes.get(scene) else { return };
        let name = described.id.clone();
        let opened = match writer.open(described) {
            Ok(opened) => Arc::new(opened),
            Err(fault) if messages.send(Message::BadScene(format!("scene {name}: {fault}"))).is_ok() => continue,
            Err(_) => return,
        };
        let slots = writer.slots(&opened);
        if messages.send(Message::Opened(slots)).is_err() {
            return;
        }
        for key in (0..slots).map(|slot| ItemKey { scene, slot }).filter(|key| !done.contains(key)) {
            if ending.load(Ordering::Relaxed) || jobs.send(Job { opened: opened.clone(), key }).is_err() {
                return;
            }
        }
    }
}

/// Does one job after the other until there is none, or the run ends. After the end it still takes jobs, so that who
/// hands them out does not wait.
fn do_jobs<W: Writer>(
    writer: &W,
    ending: &AtomicBool,
    jobs: &Mutex<Receiver<Job<W::Opened>>>,
    messages: &SyncSender<Message>,
) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { opened, key }) = job else { return };
        if ending.load(Ordering::Relaxed) {
            continue;
        }
        let message = match work(writer, &opened, key) {
            Ok(item) => Message::Done(item),
            Err((reason, spent)) => Message::Ended(reason, spent),
        };
        if messages.send(message).is_err() {
            ending.store(true, Ordering::Relaxed);
        }
    }
}

/// Keeps what the threads send until all have ended; `end` tells them to.
fn keep_all(
    folder: &mut Folder,
    messages: &Receiver<Message>,
    args: &GenerateArgs,
    limits: &Limits,
    bar: &ProgressBar,
    end: &dyn Fn(),
) -> Result<Ending> {
    let mut ending = Ending::default();
    let mut rejected = 0u64;
    while let Ok(first) = messages.recv() {
        let batch: Vec<Message> = std::iter::once(first).chain(messages.try_iter().take(MAX_BATCH - 1)).collect();
        let mut entries = Vec::new();
        for message in batch {
            match message {
                Message::Done(item) => {
                    bar.inc(1);
                    if let Some(fault) = unreadable(&item) {
                        if args.strict {
                            // undone, so that a run without --strict can judge it anew
                            entries.push(Entry::Spent(item.spent));
                            ending.fault.get_or_insert(fault);
                            end();
                            continue;
                        }
                        bar.suspend(|| eprintln!("rejected: {fault}"));
                    }
                    rejected += u64::from(matches!(item.outcome, Outcome::Rejected(_)));
                    entries.push(Entry::Item(item));
                }
                Message::Ended(reason, spent) => {
                    if spent != Spent::NONE {
                        entries.push(Entry::Spent(spent));
                    }
                    if reason != StopReason::Interrupted {
                        ending.stopped.get_or_insert(reason);
                    }
                    end();
                }
                Message::Opened(slots) => bar.set_length(
                    bar.length().unwrap_or_default().saturating_sub(u64::from(args.per_scene.saturating_sub(slots))),
                ),
                Message::BadScene(fault) => {
                    ending.bad_scenes += 1;
                    bar.inc(u64::from(args.per_scene));
                    if args.strict {
                        ending.fault.get_or_insert(fault);
                        end();
                    } else {
                        bar.suspend(|| eprintln!("left out: {fault}"));
                    }
                }
            }
        }
        if !entries.is_empty() {
            folder.keep(&entries)?;
        }
        bar.set_message(progress(rejected, folder.spent(), limits));
    }
    Ok(ending)
}

fn progress(rejected: u64, spent: Spent, limits: &Limits) -> String {
    if spent.requests == 0 {
        return format!("{rejected} rejected");
    }
    let cost = cost(spent, limits.price_in, limits.price_out);
    format!("{rejected} rejected, {} tokens, cost {cost:.4}", spent.tokens())
}

/// What is wrong with a reply that could not be read at all.
fn unreadable(item: &Item) -> Option<String> {
    match &item.outcome {
        Outcome::Rejected(line) if line.reason.is_bad_reply() => {
            Some(format!("{}: {}: {}", line.id, line.reason, line.detail))
        }
        _ => None,
    }
}
