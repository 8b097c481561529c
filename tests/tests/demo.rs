//! The demo and the evaluation, as a newcomer runs them: a procedural room, answers, the truth beside them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Output};

use serde_json::Value;
use vantage_tests::{program, root};

fn run(name: &str, arguments: &[&str]) -> Option<Output> {
    // the demo starts vantage-train, which lies beside it
    program("vantage-train")?;
    let output = Command::new(program(name)?).args(arguments).current_dir(root()).output().expect("the program runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output)
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

#[test]
fn the_demo_asks_five_questions_and_shows_the_truth() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let Some(output) = run("vantage", &["demo", "--json", "--out", out.to_str().unwrap()]) else { return };
    let lines = lines(&output);
    let of_type = |kind: &str| lines.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    let (answers, truths) = (of_type("answer"), of_type("truth"));
    assert_eq!((of_type("scene").len(), answers.len(), truths.len()), (1, 5, 5));
    for (answer, truth) in answers.iter().zip(&truths) {
        assert_eq!(answer["question"], truth["question"]);
        assert!(!truth["answers"].as_array().unwrap().is_empty(), "{truth}");
    }
    assert!(truths.iter().any(|truth| !truth["boxes"].as_array().unwrap().is_empty()), "no question has a true box");
    assert!(out.join("map.ply").exists() && out.join("report.html").exists());

    let table = run("vantage", &["demo"]).unwrap();
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    for word in ["question", "answer", "truth", "true box", "agrees"] {
        assert!(table.contains(word), "{table}");
    }
    for answer in &answers {
        let first = answer["question"].as_str().unwrap().split_whitespace().next().unwrap().to_owned();
        assert!(table.contains(&first), "{table}");
    }
}

#[test]
fn the_evaluation_ends_with_its_summary() {
    let arguments = ["eval", "--model", "model/checkpoints/nano", "--rooms-seed", "3", "--count", "12", "--json"];
    let Some(output) = run("vantage-train", &arguments) else { return };
    let lines = lines(&output);
    let (summary, kinds) = lines.split_last().expect("lines");
    assert_eq!((&summary["type"], &summary["count"]), (&"eval".into(), &12.into()));
    for share in ["grammar", "exact_match", "majority_exact_match", "acc_25", "acc_50", "random_acc_25"] {
        assert!(summary[share].as_f64().is_some_and(|x| (0.0..=1.0).contains(&x)), "{share}: {summary}");
    }
    for kind in ["eval_type", "eval_task"] {
        let of_kind = kinds.iter().filter(|line| line["type"] == kind);
        let counted: u64 = of_kind.map(|line| line["count"].as_u64().unwrap()).sum();
        assert_eq!(counted, 12, "each question is in one line of {kind}: {kinds:?}");
    }
    assert!(summary["grammar_low"].as_f64() <= summary["grammar"].as_f64(), "{summary}");
    let again = run("vantage-train", &arguments).unwrap();
    assert_eq!(again.stdout, output.stdout, "the same rooms, questions and model");
}
