//! A name in the code in, the full name on the ROS graph out: namespace, `~` and the remappings of the command line.
//!
//! rcl remaps too, but tells nobody what came out, and a rule for `color/image_raw` must hold for `color/image_raw/compressed`.
//! Rules: <https://design.ros2.org/articles/static_remapping.html>.

/// Resolves names of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// `/robot/vantage`.
    node: String,
    /// `/robot`, or `/`.
    namespace: String,
    /// Full names: from, to.
    rules: Vec<(String, String)>,
}

impl Names {
    /// For the node `node` (its full name), with the rules among the program's arguments.
    pub(crate) fn new(node: &str, namespace: &str, arguments: impl IntoIterator<Item = String>) -> Self {
        let mut names = Self { node: node.to_owned(), namespace: namespace.to_owned(), rules: Vec::new() };
        let own = node.rsplit('/').next().unwrap_or(node).to_owned();
        let mut in_ros = false;
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--ros-args" => in_ros = true,
                "--" => in_ros = false,
                "-r" | "--remap" if in_ros => {
                    let Some(rule) = arguments.next() else { break };
                    let Some((from, to)) = rule.split_once(":=") else { continue };
                    let from = match from.split_once(':') {
                        Some((node, from)) if node == own => from,
                        Some(_) => continue,
                        None => from,
                    };
                    // __node and __ns have been applied to `node` and `namespace` already
                    if !from.starts_with("__") {
                        let rule = (names.full(from), names.full(to));
                        names.rules.push(rule);
                    }
                }
                _ => {}
            }
        }
        names
    }

    /// The name on the graph.
    pub(crate) fn resolve(&self, name: &str) -> String {
        let full = self.full(name);
        self.rules.iter().find(|(from, _)| *from == full).map_or(full, |(_, to)| to.clone())
    }

    fn full(&self, name: &str) -> String {
        let name = name.strip_prefix("rostopic://").unwrap_or(name);
        if name.starts_with('/') {
            return name.to_owned();
        }
        if let Some(private) = name.strip_prefix('~') {
            return format!("{}{private}", self.node);
        }
        format!("{}/{name}", self.namespace.trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &str) -> Names {
        Names::new("/robot/vantage", "/robot", arguments.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn relative_private_and_full_names() {
        let names = names("");
        assert_eq!(names.resolve("color/image_raw"), "/robot/color/image_raw");
        assert_eq!(names.resolve("~/points"), "/robot/vantage/points");
        assert_eq!(names.resolve("/tf"), "/tf");
        assert_eq!(Names::new("/vantage", "/", []).resolve("tf"), "/tf");
    }

    #[test]
    fn rules_of_the_node_hold_inside_ros_arguments_alone() {
        let names = names(
            "vantage_node -r a:=b --ros-args -r __ns:=/robot --remap color/image_raw:=/cam/rgb -r vantage:tf:=/tf \
             -r other:d:=/d -r ~/points:=cloud -r",
        );
        assert_eq!(names.resolve("a"), "/robot/a");
        assert_eq!(names.resolve("color/image_raw"), "/cam/rgb");
        assert_eq!(names.resolve("tf"), "/tf");
        assert_eq!(names.resolve("d"), "/robot/d");
        assert_eq!(names.resolve("~/points"), "/robot/cloud");
    }
}
