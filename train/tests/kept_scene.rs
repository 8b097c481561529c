//! A room asked several things in: answers that do not depend on whether the scene was read anew out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use vantage_model::{AskOptions, DeviceChoice, ModelError, Reasoner, ViewId, ViewStrategy};
use vantage_train::dataset::make_scene;
use vantage_train::rooms::{Appearance, Difficulty, RecordConfig, RoomConfig, generate};

#[test]
fn a_scene_that_is_kept_gives_the_answers_of_one_that_is_read_anew() {
    // a look that the model knows
    let walk = RecordConfig { appearance: Appearance::PLAIN, ..RecordConfig::default() };
    let (scene, _) = make_scene(&generate(71, &RoomConfig::of(Difficulty::Easy)), &walk).unwrap();
    // all questions see the same views
    let options = AskOptions { strategy: ViewStrategy::UniformInTime, ..AskOptions::default() };
    let device = DeviceChoice::Cpu.open().unwrap();
    let mut asked = Reasoner::embedded(&device).unwrap();
    assert_eq!(asked.kept_scene_tokens(), 0);
    for question in ["where can I sit?", "how many chairs are there?", "where can I sit?"] {
        let kept = asked.ask(&scene, question, &options, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(asked.kept_scene_tokens() > 0, "{question}");
        let fresh = Reasoner::embedded(&device)
            .unwrap()
            .ask(&scene, question, &options, &mut |_| ControlFlow::Continue(()))
            .unwrap();
        assert_eq!(kept.raw, fresh.raw);
        for (a, b) in kept.boxes.iter().zip(&fresh.boxes) {
            assert_eq!(a.bbox, b.bbox, "{question}");
        }
    }
    // one view fewer is another scene
    let fewer = AskOptions { max_views: Some(1), ..options.clone() };
    let before = asked.kept_scene_tokens();
    let one = asked.ask(&scene, "where can I sit?", &fewer, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(asked.kept_scene_tokens() < before);
    let fresh = Reasoner::embedded(&device)
        .unwrap()
        .ask(&scene, "where can I sit?", &fewer, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    assert_eq!(one.raw, fresh.raw);
    asked.reset();
    assert_eq!(asked.kept_scene_tokens(), 0);
}

#[test]
fn each_encoder_gives_its_own_part_of_the_scene() {
    let (scene, _) = make_scene(&generate(71, &RoomConfig::of(Difficulty::Easy)), &RecordConfig::default()).unwrap();
    let mut asked = Reasoner::embedded(&DeviceChoice::Cpu.open().unwrap()).unwrap();
    let mut read = |encoders: &str| {
        let options = AskOptions {
            strategy: ViewStrategy::UniformInTime,
            max_views: Some(2),
            encoders: encoders.parse().unwrap(),
            ..AskOptions::default()
        };
        let answer = asked.ask(&scene, "where can I sit?", &options, &mut |_| ControlFlow::Continue(())).unwrap();
        (asked.kept_scene_tokens(), answer.raw)
    };
    let [all, points, image, depth] = ["points,image,depth", "points", "image", "depth"].map(&mut read);
    assert_eq!(points.0 + image.0 + depth.0, all.0);
    assert!(points.0 > 0 && image.0 > 0 && image.0 == depth.0, "{} {} {}", points.0, image.0, depth.0);
    // as many tokens of another encoder are another scene
    assert_ne!(image.1, depth.1);
    assert_eq!(read("image,depth").0, image.0 + depth.0);
    // nothing to read is an error
    let strategy = ViewStrategy::UniformInTime;
    let encoders = "image".parse().unwrap();
    let nothing = AskOptions { strategy, max_views: Some(0), encoders, ..AskOptions::default() };
    let refused = asked.ask(&scene, "where can I sit?", &nothing, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(ModelError::EmptyScene)));
}

#[test]
fn a_budget_leaves_as_many_views_as_it_has_time_for() {
    let (scene, _) = make_scene(&generate(71, &RoomConfig::of(Difficulty::Easy)), &RecordConfig::default()).unwrap();
    let mut asked = Reasoner::embedded(&DeviceChoice::Cpu.open().unwrap()).unwrap();
    let mut views = |view_budget| {
        let options = AskOptions { max_views: Some(3), view_budget, ..AskOptions::default() };
        let answer = asked.ask(&scene, "where can I sit?", &options, &mut |_| ControlFlow::Continue(())).unwrap();
        answer.views.len()
    };
    // before the first answer by what encoding a keyframe took; where time is plenty all that were asked for
    assert_eq!(views(Some(Duration::from_nanos(1))), 1);
    assert_eq!(views(Some(Duration::from_nanos(1))), 1);
    assert_eq!(views(Some(Duration::from_secs(3600))), 3);
    assert_eq!(views(None), 3);
}

#[test]
fn views_of_the_map_and_of_a_scene_kept_up_with_are_those_of_a_fresh_one() {
    let (scene, _) = make_scene(&generate(71, &RoomConfig::of(Difficulty::Easy)), &RecordConfig::default()).unwrap();
    let device = DeviceChoice::Cpu.open().unwrap();
    let options = AskOptions { map_views: true, max_views: Some(40), max_tokens: 60, ..AskOptions::default() };
    let mut asked = Reasoner::embedded(&device).unwrap();
    asked.keep_up(&scene);
    for question in ["where can I sit?", "is there a table?"] {
        let kept = asked.ask(&scene, question, &options, &mut |_| ControlFlow::Continue(())).unwrap();
        let fresh = Reasoner::embedded(&device)
            .unwrap()
            .ask(&scene, question, &options, &mut |_| ControlFlow::Continue(()))
            .unwrap();
        assert_eq!((&kept.raw, &kept.views), (&fresh.raw, &fresh.views), "{question}");
        // from above, the corners and around; every candidate was asked for, and none is there twice
        assert_eq!(kept.map_views.len(), 1 + 4 + 4);
        assert_eq!(kept.views.len(), scene.keyframes().len() + kept.map_views.len());
        let distinct: BTreeSet<ViewId> = kept.views.iter().map(|v| v.view).collect();
        assert_eq!(distinct.len(), kept.views.len());
        assert!(distinct.iter().all(|id| id.frame(scene.keyframes(), &kept.map_views).is_some()));
    }
    // where none is asked for, and where a strategy is blind to the question, there is none
    for options in [
        AskOptions { map_views: false, ..options.clone() },
        AskOptions { strategy: ViewStrategy::Ring, ..options.clone() },
    ] {
        let (choice, _) = asked.select_views(&scene, "where can I sit?", &options).unwrap();
        assert!(choice.map_views.is_empty() && choice.candidates.len() == scene.keyframes().len());
    }
}
