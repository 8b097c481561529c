//! The tasks that build and run Vantage. In: arguments. Out: the exit code of what they ran.

use std::env;
use std::process::Command;

use anyhow::Result;

use crate::layout::Layout;
use crate::ros::{self, Environment};
use crate::{apt, peers, process};

/// Turns on the ROS 2 side of the node.
pub(crate) const ROS_FEATURE: &str = "vantage-node/ros";

/// Tests that need the heavy peers carry `#[ignore]` and this at the start of their name.
const PEER_TESTS: &str = "peers_";

/// Prepares the machine; `with_peers` adds the heavy peers.
pub(crate) fn setup(with_peers: bool) -> Result<()> {
    let layout = Layout::find()?;
    prepare(&layout)?;
    if with_peers {
        peers::prepare(&layout)?;
        peers::prepare_endpoint(&layout)?;
    }
    eprintln!("Set up. Next: `cargo xtask test`, or `. .ros/env.sh` to use ROS 2 in this shell.");
    Ok(())
}

/// Everything that a build with ROS 2 needs.
pub(crate) fn prepare(layout: &Layout) -> Result<Environment> {
    apt::ensure(layout, &[apt::BUILD, apt::ROS])?;
    ros::prepare(layout)
}

/// Builds the programs and runs `vantage demo`.
pub(crate) fn demo(arguments: &[String]) -> Result<()> {
    let layout = Layout::find()?;
    apt::ensure(&layout, &[apt::BUILD])?;
    process::foreground(cargo(&layout, "build").args(["--bin", "vantage", "--bin", "vantage-train"]))?;
    process::foreground(Command::new(layout.built("vantage")).arg("demo").args(arguments))
}

/// Sets up, builds every program, runs the tests.
pub(crate) fn test(with_peers: bool, filter: Option<&str>) -> Result<()> {
    let layout = Layout::find()?;
    let ros = prepare(&layout)?;
    let peers =
        with_peers.then(|| Ok::<_, anyhow::Error>((peers::prepare(&layout)?, peers::prepare_endpoint(&layout)?)));
    let peers = peers.transpose()?;
    // The system tests start the programs, which `cargo test` alone would not build. Together with the tests, so that
    // dependencies are compiled once, with the features that both need.
    let workspace = ["--workspace", "--features", ROS_FEATURE];
    process::foreground(ros.apply(cargo(&layout, "build").args(workspace).args(["--bins", "--tests"])))?;
    process::foreground(ros.apply(cargo(&layout, "test").args(workspace).arg("--no-fail-fast").args(filter)))?;
    if let Some((python, endpoint)) = peers {
        let mut command = cargo(&layout, "test");
        command.args(workspace).args(["--", "--ignored", PEER_TESTS]).env("VANTAGE_PEERS_PYTHON", python);
        command.env("VANTAGE_ENDPOINT_PYTHON", endpoint);
        process::foreground(ros.apply(&mut command))?;
    }
    Ok(())
}

/// cargo, at the workspace's root and into the chosen build folder.
pub(crate) fn cargo(layout: &Layout, subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg(subcommand).current_dir(&layout.root).env("CARGO_TARGET_DIR", &layout.target);
    command
}
