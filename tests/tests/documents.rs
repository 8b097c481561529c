//! The documents tell the truth about commands and files. In: README and its kin, the CI script. Out: every command and path they name exists.

use std::fs;

use vantage_tests::root;

/// The command that a person and CI run alike.
const TEST_COMMAND: &str = "cargo xtask test";

const DOCUMENTS: &[&str] = &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn ci_runs_exactly_the_readmes_test_command() {
    let has_line = |text: &str| text.lines().any(|line| line.trim() == TEST_COMMAND);
    assert!(has_line(&read("README.md")), "README.md shows `{TEST_COMMAND}` on a line of its own");
    assert!(has_line(&read(".ci/run")), ".ci/run runs `{TEST_COMMAND}` on a line of its own");
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    for document in DOCUMENTS {
        for target in links(&read(document)) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            assert!(root().join(path).exists(), "{document} links to {path}, which does not exist");
        }
    }
}

/// The targets of `[text](target)` and `![text](target)`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}
