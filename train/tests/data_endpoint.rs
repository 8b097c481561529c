//! `vantage-train data generate` against a scripted chat endpoint: faults are retried, limits kept, nothing lost, and the key told to nobody else.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod chat_server;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use chat_server::{Act, Asked, ChatServer, PROMPT_TOKENS, REPLY_TOKENS};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vantage-train");
/// Four rooms, three questions each, three requests a question.
const WORK: [&str; 12] = [
    "--rooms",
    "4",
    "--first-room",
    "30",
    "--per-scene",
    "3",
    "--tasks",
    "qa,grounding",
    "--model",
    "scripted",
    "--val-share",
    "0.3",
];
const ITEMS: u64 = 12;
const REQUESTS: u64 = 3 * ITEMS;
const FILES: [&str; 2] = ["samples.jsonl", "rejected.jsonl"];
const KEY: &str = "sk-0123456789-not-to-be-told";
const KEY_VARIABLE: &str = "VANTAGE_TEST_KEY";
/// The signal of a file that grows beyond its limit.
const SIGXFSZ: i32 = 25;

/// A folder of results, and how to make it.
struct Job {
    dir: TempDir,
}

impl Job {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn run(&self, server: &ChatServer, more: &[&str]) -> Output {
        self.run_within(server, more, "exec \"$0\" \"$@\"")
    }

    /// Through a shell that runs `script` with the program and its arguments.
    fn run_within(&self, server: &ChatServer, more: &[&str], script: &str) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", script, PROGRAM, "data", "generate", "--out"]).arg(self.out()).args(WORK);
        command.args(["--endpoint", &server.endpoint, "--key-env", KEY_VARIABLE]).args(more).env(KEY_VARIABLE, KEY);
        for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY"] {
            command.env_remove(proxy);
        }
        command.output().unwrap()
    }

    fn files(&self) -> BTreeMap<&'static str, String> {
        FILES.iter().map(|name| (*name, fs::read_to_string(self.out().join(name)).unwrap())).collect()
    }

    fn rejected(&self) -> Vec<Value> {
        self.files()["rejected.jsonl"].lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn assert_done(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

fn assert_failed(output: &Output, words: &[&str]) {
    let said = said(output);
    assert!(output.status.code() == Some(1) && words.iter().all(|w| said.contains(w)), "{words:?}: {said}");
}

fn summary(output: &Output) -> Value {
    serde_json::from_str(String::from_utf8_lossy(&output.stdout).lines().last().unwrap()).unwrap()
}

/// What an endpoint that never fails leads to, one request at a time.
fn undisturbed() -> BTreeMap<&'static str, String> {
    let (job, server) = (Job::new(), ChatServer::start(|_| Act::Good));
    let done = job.run(&server, &["--json", "--concurrency", "1"]);
    assert_done(&done);
    let summary = summary(&done);
    assert_eq!(
        (summary["samples"].as_u64(), summary["requests"].as_u64()),
        (Some(ITEMS), Some(REQUESTS)),
        "{}",
        said(&done)
    );
    assert_eq!(summary["prompt_tokens"], REQUESTS * PROMPT_TOKENS);
    job.files()
}

fn holds(path: &Path, text: &str) -> bool {
    if path.is_dir() {
        return fs::read_dir(path).unwrap().any(|entry| holds(&entry.unwrap().path(), text));
    }
    String::from_utf8_lossy(&fs::read(path).unwrap()).contains(text)
}

#[test]
fn order_does_not_depend_on_who_replies_first() {
    let expected = undisturbed();
    let server = ChatServer::start(|asked| Act::Slow(Duration::from_millis((asked.number * 37 % 50) as u64)));
    let job = Job::new();
    assert_done(&job.run(&server, &["--concurrency", "8"]));
    assert_eq!(job.files(), expected);
    let ids: Vec<Value> = expected["samples.jsonl"].lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let ids: Vec<&str> = ids.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(ids[..4], ["room-30-0", "room-30-1", "room-30-2", "room-31-0"]);
}

#[test]
fn every_fault_is_retried_and_leaves_no_trace() {
    let expected = undisturbed();
    let server = ChatServer::start(|asked: &Asked| match (asked.before, asked.number % 6) {
        (0, 0) => Act::Status(429, "retry-after: 0\r\n".to_owned(), "{\"error\":\"slow down\"}".to_owned()),
        (0, 1) => Act::Status(500, String::new(), "oops".to_owned()),
        (0, 2) => Act::Cut,
        (0, 3) => Act::CutMidway,
        (0, 4) => Act::Status(200, String::new(), "{\"choices\":[{\"mess".to_owned()),
        (0, _) => Act::Slow(Duration::from_secs(3)),
        _ => Act::Good,
    });
    let job = Job::new();
    assert_done(&job.run(&server, &["--concurrency", "8", "--timeout", "1.5"]));
    assert_eq!(job.files(), expected);
    assert_eq!(server.log().len() as u64, 2 * REQUESTS, "each request failed once");
}

#[test]
fn retry_after_is_honoured() {
    let server = ChatServer::start(|asked| match asked.number {
        2 => Act::Status(503, "Retry-After: 2\r\n".to_owned(), String::new()),
        _ => Act::Good,
    });
    let job = Job::new();
    assert_done(&job.run(&server, &["--concurrency", "1"]));
    let log = server.log();
    assert_eq!(log[2].body, log[3].body);
    let wait = log[3].at - log[2].at;
    assert!(wait >= Duration::from_secs(2), "{wait:?}");

    // a wait that nobody would sit out
    let server = ChatServer::start(|_| Act::Status(429, "retry-after: 86400\r\n".to_owned(), String::new()));
    assert_failed(&Job::new().run(&server, &[]), &["86400 s", "the same command goes on"]);
}

#[test]
fn the_rate_is_kept() {
    const INTERVAL: Duration = Duration::from_millis(60);
    let server = ChatServer::start(|_| Act::Good);
    assert_done(&Job::new().run(&server, &["--concurrency", "8", "--requests-per-minute", "1000"]));
    let log = server.log();
    let took = log.last().unwrap().at - log[0].at;
    // the first may come late, the last cannot come early
    assert!(took >= INTERVAL * (REQUESTS as u32 - 2), "{took:?}");
}

#[test]
fn the_budget_is_kept_and_the_run_goes_on_with_a_larger_one() {
    let expected = undisturbed();
    let server = ChatServer::start(|_| Act::Good);
    let job = Job::new();
    for budget in [8_000u64, 20_000] {
        let ended = job.run(&server, &["--json", "--concurrency", "4", "--max-tokens-total", &budget.to_string()]);
        assert_failed(&ended, &["the budget is used", "--max-tokens-total", "the same command goes on"]);
        let summary = summary(&ended);
        assert_eq!(summary["finished"], false);
        let counted = summary["prompt_tokens"].as_u64().unwrap() + summary["reply_tokens"].as_u64().unwrap();
        assert_eq!(
            counted,
            server.log().len() as u64 * (PROMPT_TOKENS + REPLY_TOKENS),
            "all that was taken is counted"
        );
        assert!(counted <= budget && counted > 0, "{counted} of {budget}");
        // what is there is the beginning or a part of what will be
        let whole: Vec<&str> = expected["samples.jsonl"].lines().collect();
        assert!(job.files()["samples.jsonl"].lines().all(|line| whole.contains(&line)));
    }
    let money = job.run(&server, &["--max-cost", "0.03", "--price-in", "1", "--price-out", "2"]);
    assert_failed(&money, &["the budget is used", "--max-cost"]);
    assert_done(&job.run(&server, &[]));
    assert_eq!(job.files(), expected);
}

#[test]
fn killed_runs_lose_and_repeat_nothing() {
    let expected = undisturbed();
    let server = ChatServer::start(|_| Act::Good);
    let job = Job::new();
    // blocks of 512 bytes; the journal has about 650 bytes an item, the first manifest less than two blocks
    for blocks in [2, 4, 7, 9, 11, 14] {
        let script = format!("ulimit -c 0; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let killed = job.run_within(&server, &["--concurrency", "3"], &script);
        assert_eq!(killed.status.signal(), Some(SIGXFSZ), "{}", said(&killed));
    }
    assert_done(&job.run(&server, &["--concurrency", "3"]));
    assert_eq!(job.files(), expected);
}

#[test]
fn an_endpoint_that_is_gone_ends_the_run_and_nothing_is_lost() {
    let expected = undisturbed();
    let job = Job::new();
    let server = ChatServer::start(|asked| match asked.number {
        0..15 => Act::Good,
        _ => Act::Status(500, String::new(), "out of memory".to_owned()),
    });
    let ended = job.run(&server, &["--retries", "1", "--concurrency", "2"]);
    assert_failed(&ended, &["not available", "status 500: out of memory", "tried 2 times", "the same command goes on"]);
    drop(server);
    assert_done(&job.run(&ChatServer::start(|_| Act::Good), &[]));
    assert_eq!(job.files(), expected);
}

#[test]
fn bad_replies_are_kept_with_their_reasons_or_end_a_strict_run() {
    let script = |asked: &Asked| match asked.number {
        0 => Act::Status(400, String::new(), "{\"error\":\"context length\"}".to_owned()),
        1 => Act::Say("Sure, here is a question!".to_owned()),
        3 => Act::Say("no tags at all".to_owned()),
        4 => Act::Status(200, String::new(), format!("{{\"pad\":\"{}\"}}", "x".repeat(2 << 20))),
        5..7 => Act::Status(200, String::new(), "<html>".to_owned()),
        _ => Act::Good,
    };
    let job = Job::new();
    let server = ChatServer::start(script);
    let done = job.run(&server, &["--json", "--concurrency", "1", "--retries", "1"]);
    assert_done(&done);
    let rejected: Vec<(String, String)> = job
        .rejected()
        .iter()
        .map(|line| (line["reason"].as_str().unwrap().to_owned(), line["detail"].as_str().unwrap().to_owned()))
        .collect();
    for (i, (reason, detail)) in [
        ("refused", "status 400"),
        ("question", "question"),
        ("grammar", "<think>"),
        ("bad_reply", "longer than 1048576 bytes"),
        ("bad_reply", "no chat completion"),
    ]
    .iter()
    .enumerate()
    {
        assert!(rejected[i].0 == *reason && rejected[i].1.contains(detail), "{:?}", rejected[i]);
    }
    assert_eq!(job.rejected()[2]["text"], "no tags at all");
    assert_eq!(summary(&done)["samples"].as_u64().unwrap() + rejected.len() as u64, ITEMS);
    assert!(said(&done).contains("rejected: room-30-0: refused: status 400"), "{}", said(&done));

    let server = ChatServer::start(script);
    let strict = Job::new().run(&server, &["--strict", "--concurrency", "1"]);
    assert_failed(&strict, &["--strict: room-30-0: refused: status 400", "the same command goes on"]);
}

#[test]
fn the_key_is_sent_and_told_to_nobody_else() {
    let server = ChatServer::start(|asked| match asked.number {
        0 => Act::Status(500, String::new(), format!("your key {KEY} is fine, I am not")),
        1 => Act::Say(format!("Your key is {KEY}.")),
        _ => Act::Good,
    });
    let job = Job::new();
    let verbose = "RUST_LOG=trace exec \"$0\" \"$@\"";
    let done = job.run_within(&server, &["--concurrency", "1"], verbose);
    assert_done(&done);
    assert!(server.log().iter().all(|asked| asked.authorization.as_deref() == Some(&format!("Bearer {KEY}"))));
    assert!(said(&done).contains("[key] is fine"), "the log repeats what the endpoint said");
    assert!(!said(&done).contains(KEY), "{}", said(&done));
    assert!(job.rejected()[0]["text"].as_str().unwrap().contains("[key]"));

    let server = ChatServer::start(|_| Act::Status(401, String::new(), format!("no such key: {KEY}")));
    assert_done(&job.run_within(&server, &[], verbose));
    let other = Job::new();
    let refused = other.run_within(&server, &[], verbose);
    assert_failed(&refused, &["the endpoint refuses", "status 401: no such key: [key]"]);
    assert!(!said(&refused).contains(KEY));
    assert!(!holds(job.dir.path(), KEY) && !holds(other.dir.path(), KEY));
    assert_eq!(server.log().iter().filter(|a| a.before > 0).count(), 0, "a refusal is not tried again");
}

#[test]
fn described_scenes_are_asked_about_and_bad_lines_are_named() {
    let job = Job::new();
    let scenes = job.dir.path().join("scenes.jsonl");
    let scene = |name: &str, side: f64| {
        format!(
            r#"{{"format_version":1,"scene":"{name}","objects":[{{"label":"chair","color":"red","box":{{"center":[1,2,0.5],"size":[{side},0.5,1],"yaw":0}}}},{{"label":"lamp","color":"blue","box":{{"center":[3,1,0.5],"size":[0.5,0.5,1],"yaw":0}}}}]}}"#
        )
    };
    fs::write(&scenes, format!("{}\n{{\"format_version\":1,\n{}\n", scene("a", 0.5), scene("b", 0.6))).unwrap();
    let server = ChatServer::start(|_| Act::Good);
    let run = |more: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args([
            "data",
            "generate",
            "--per-scene",
            "2",
            "--tasks",
            "grounding",
            "--model",
            "m",
            "--json",
            "--out",
        ]);
        command.arg(job.out()).arg("--scenes").arg(&scenes).args(["--endpoint", &server.endpoint]).args(more);
        command.env("NO_PROXY", "127.0.0.1").output().unwrap()
    };
    assert_failed(&run(&["--strict"]), &["--strict", "scenes.jsonl:2: no scene"]);
    let done = run(&[]);
    assert_done(&done);
    assert!(said(&done).contains("left out") && said(&done).contains("scenes.jsonl:2"), "{}", said(&done));
    assert_eq!((summary(&done)["samples"].as_u64(), summary(&done)["bad_scenes"].as_u64()), (Some(4), Some(1)));
    // the same file goes on; another one does not
    assert_done(&run(&[]));
    fs::write(&scenes, format!("{}\n{}", scene("a", 0.5), scene("twin", 0.5))).unwrap();
    assert_failed(&run(&["--val-share", "0.5"]), &["`a`", "`twin`", "the same objects"]);
    fs::write(&scenes, scene("c", 0.7)).unwrap();
    assert_failed(&run(&[]), &["another --scenes"]);
    fs::remove_file(&scenes).unwrap();
    assert_failed(&run(&[]), &["scenes.jsonl", "No such file"]);
}

#[test]
fn views_go_with_the_description() {
    let job = Job::new();
    let server = ChatServer::start(|_| Act::Good);
    assert_done(&job.run(&server, &["--images", "2"]));
    let log = server.log();
    let pictures = |asked: &Asked| {
        let content = asked.body["messages"][1]["content"].as_array().cloned().unwrap_or_default();
        content
            .iter()
            .filter(|part| part["image_url"]["url"].as_str().is_some_and(|u| u.starts_with("data:image/png;base64,")))
            .count()
    };
    assert!(log.iter().all(|asked| pictures(asked) == if asked.text().starts_with("A question") { 0 } else { 2 }));
}
