//! The node's parameters in one table; what ROS was given in, settings out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use vantage_model::{AskOptions, ViewStrategy};
use vantage_node::answerer::Mode;
use vantage_node::engine::{EngineConfig, FusionSettings};

/// A parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Integer(i64),
    Double(f64),
    Text(String),
    Texts(Vec<String>),
    /// A type that no parameter of the node has.
    Other(&'static str),
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Bool {
        default: bool,
    },
    Integer {
        default: i64,
        min: i64,
        max: i64,
    },
    Double {
        default: f64,
        min: f64,
        max: f64,
    },
    Text {
        default: &'static str,
    },
    /// None by default. As ROS cannot tell the type of an empty list, empty texts in it do not count.
    Texts,
    Choice {
        default: &'static str,
        others: &'static [&'static str],
    },
}

struct Parameter {
    name: &'static str,
    kind: Kind,
}

const PARAMETERS: &[Parameter] = &[
    Parameter { name: "global_frame", kind: Kind::Text { default: "odom" } },
    Parameter { name: "use_sim_time", kind: Kind::Bool { default: false } },
    Parameter { name: "cameras", kind: Kind::Texts },
    Parameter { name: "rig_file", kind: Kind::Text { default: "" } },
    Parameter { name: "image_transport", kind: Kind::Choice { default: "raw", others: &["compressed"] } },
    Parameter { name: "qos_input", kind: Kind::Choice { default: "best_effort", others: &["reliable"] } },
    Parameter { name: "sync_tolerance", kind: Kind::Double { default: 0.02, min: 0.0, max: 10.0 } },
    Parameter { name: "max_waiting", kind: Kind::Integer { default: 32, min: 1, max: 1000 } },
    Parameter { name: "max_waiting_bytes", kind: Kind::Integer { default: 256 << 20, min: 1 << 20, max: 1 << 36 } },
    Parameter { name: "voxel_size", kind: Kind::Double { default: 0.03, min: 0.002, max: 0.5 } },
    Parameter { name: "max_depth", kind: Kind::Double { default: 4.0, min: 0.2, max: 30.0 } },
    Parameter { name: "max_map_bytes", kind: Kind::Integer { default: 512 << 20, min: 16 << 20, max: 1 << 36 } },
    Parameter { name: "decay_half_life", kind: Kind::Double { default: 0.0, min: 0.0, max: 1.0e6 } },
    Parameter { name: "keyframe_translation", kind: Kind::Double { default: 0.3, min: 0.0, max: 100.0 } },
    Parameter { name: "keyframe_rotation", kind: Kind::Double { default: 0.35, min: 0.0, max: 10.0 } },
    Parameter { name: "keyframe_new_surface", kind: Kind::Double { default: 0.1, min: 0.0, max: 1.0 } },
    Parameter { name: "max_keyframes", kind: Kind::Integer { default: 200, min: 2, max: 5000 } },
    Parameter { name: "max_keyframe_bytes", kind: Kind::Integer { default: 512 << 20, min: 1 << 20, max: 1 << 36 } },
    Parameter { name: "model_dir", kind: Kind::Text { default: "" } },
    Parameter { name: "device", kind: Kind::Text { default: "auto" } },
    Parameter { name: "mode", kind: Kind::Choice { default: "auto", others: &["r1", "lift"] } },
    Parameter { name: "max_views", kind: Kind::Integer { default: 0, min: 0, max: 64 } },
    Parameter { name: "view_budget", kind: Kind::Double { default: 0.0, min: 0.0, max: 3600.0 } },
    Parameter {
        name: "view_strategy",
        kind: Kind::Choice { default: "utility", others: &["uniform", "random", "ring", "coverage", "all"] },
    },
    Parameter { name: "map_views", kind: Kind::Bool { default: false } },
    Parameter { name: "max_tokens", kind: Kind::Integer { default: 320, min: 1, max: 4096 } },
    Parameter { name: "publish_points_period", kind: Kind::Double { default: 1.0, min: 0.0, max: 3600.0 } },
    Parameter { name: "qos_output", kind: Kind::Choice { default: "reliable", others: &["best_effort"] } },
];

/// What the node runs with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) engine: EngineConfig,
    pub(crate) ask: AskOptions,
    /// Names of the cameras; none for the one whose topics are remapped.
    pub(crate) cameras: Vec<String>,
    pub(crate) rig_file: Option<PathBuf>,
    /// The embedded model without one.
    pub(crate) model_dir: Option<PathBuf>,
    /// Where the model runs: `auto`, `cpu`, `cuda:N` or `wgpu`.
    pub(crate) device: String,
    /// The one that the model is made for without one.
    pub(crate) mode: Option<Mode>,
    pub(crate) use_sim_time: bool,
    pub(crate) compressed: bool,
    pub(crate) reliable_input: bool,
    pub(crate) reliable_output: bool,
    /// Only with answers without one.
    pub(crate) points_period: Option<Duration>,
    /// Every parameter with its value in force.
    pub(crate) values: BTreeMap<&'static str, Value>,
}

/// Why the parameters cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("parameter `{name}` is {given}: {wanted}")]
pub(crate) struct ParameterError {
    name: &'static str,
    given: String,
    wanted: String,
}

/// Settings from what ROS was given; names that the node does not have come back beside them.
///
/// # Errors
/// [`ParameterError`] naming the parameter, what it is and what it may be.
pub(crate) fn read(given: &BTreeMap<String, Value>) -> Result<(Settings, Vec<String>), ParameterError> {
    let mut values = BTreeMap::new();
    for parameter in PARAMETERS {
        values.insert(parameter.name, parameter.value(given.get(parameter.name))?);
    }
    let unknown = given.keys().filter(|name| !values.contains_key(name.as_str())).cloned().collect();
    Ok((Settings::from_values(values), unknown))
}

impl Parameter {
    fn value(&self, given: Option<&Value>) -> Result<Value, ParameterError> {
        let refused = |given: String, wanted: String| ParameterError { name: self.name, given, wanted };
        let wrong = |value: &Value, wanted: String| Err(refused(value.to_string(), wanted));
        match (self.kind, given) {
            (Kind::Bool { default }, None) => Ok(Value::Bool(default)),
            (Kind::Integer { default, .. }, None) => Ok(Value::Integer(default)),
            (Kind::Double { default, .. }, None) => Ok(Value::Double(default)),
            (Kind::Text { default } | Kind::Choice { default, .. }, None) => Ok(Value::Text(default.to_owned())),
            (Kind::Texts, None) => Ok(Value::Texts(vec![String::new()])),
            (Kind::Texts, Some(Value::Texts(x))) => Ok(Value::Texts(x.clone())),
            (Kind::Bool { .. }, Some(Value::Bool(x))) => Ok(Value::Bool(*x)),
            (Kind::Integer { min, max, .. }, Some(Value::Integer(x))) if (min..=max).contains(x) => {
                Ok(Value::Integer(*x))
            }
            (Kind::Double { min, max, .. }, Some(Value::Double(x))) if (min..=max).contains(x) => Ok(Value::Double(*x)),
            // `4` in a parameter file is an integer to ROS, whatever the parameter is
            (Kind::Double { min, max, .. }, Some(Value::Integer(x))) if (min..=max).contains(&(*x as f64)) => {
                Ok(Value::Double(*x as f64))
            }
            (Kind::Text { .. }, Some(Value::Text(x))) => Ok(Value::Text(x.clone())),
            (Kind::Choice { default, others }, Some(Value::Text(x)))
                if default == x || others.contains(&x.as_str()) =>
            {
                Ok(Value::Text(x.clone()))
            }
            (Kind::Bool { .. }, Some(x)) => wrong(x, "it is true or false".to_owned()),
            (Kind::Integer { min, max, .. }, Some(x)) => wrong(x, format!("it is a whole number from {min} to {max}")),
            (Kind::Double { min, max, .. }, Some(x)) => wrong(x, format!("it is a number from {min} to {max}")),
            (Kind::Text { .. }, Some(x)) => wrong(x, "it is a text".to_owned()),
            (Kind::Texts, Some(x)) => wrong(x, "it is a list of texts".to_owned()),
            (Kind::Choice { default, others }, Some(x)) => {
                wrong(x, format!("it is `{default}` or `{}`", others.join("` or `")))
            }
        }
    }
}

impl Settings {
    /// `values` holds every parameter with the type of its table entry.
    fn from_values(values: BTreeMap<&'static str, Value>) -> Self {
        let double = |name| if let Some(Value::Double(x)) = values.get(name) { *x } else { 0.0 };
        let integer = |name| if let Some(Value::Integer(x)) = values.get(name) { *x as usize } else { 0 };
        let text = |name| if let Some(Value::Text(x)) = values.get(name) { x.as_str() } else { "" };
        let texts = |name| if let Some(Value::Texts(x)) = values.get(name) { x.as_slice() } else { &[] };
        let path = |name| Some(text(name)).filter(|path| !path.is_empty()).map(PathBuf::from);
        let fusion = FusionSettings {
            global_frame: text("global_frame").to_owned(),
            sync_tolerance_s: double("sync_tolerance"),
            max_waiting: integer("max_waiting"),
            max_waiting_bytes: integer("max_waiting_bytes"),
            voxel_size_m: double("voxel_size") as f32,
            max_depth_m: double("max_depth") as f32,
            max_map_bytes: integer("max_map_bytes"),
            decay_half_life_s: Some(double("decay_half_life") as f32).filter(|secs| *secs > 0.0),
            keyframe_translation_m: double("keyframe_translation"),
            keyframe_rotation_rad: double("keyframe_rotation"),
            keyframe_new_surface: double("keyframe_new_surface"),
            max_keyframes: integer("max_keyframes"),
            max_keyframe_bytes: integer("max_keyframe_bytes"),
        };
        // one of the choices, all of which are names of strategies
        let strategy = text("view_strategy").parse::<ViewStrategy>().unwrap_or_default();
        let ask = AskOptions {
            max_views: Some(integer("max_views")).filter(|n| *n > 0),
            view_budget: Some(Duration::from_secs_f64(double("view_budget"))).filter(|budget| !budget.is_zero()),
            max_tokens: integer("max_tokens"),
            strategy,
            map_views: matches!(values.get("map_views"), Some(Value::Bool(true))),
            ..AskOptions::default()
        };
        let period = double("publish_points_period");
        Self {
            engine: fusion.engine(),
            ask,
            cameras: texts("cameras").iter().filter(|name| !name.is_empty()).cloned().collect(),
            rig_file: path("rig_file"),
            model_dir: path("model_dir"),
            device: text("device").to_owned(),
            mode: match text("mode") {
                "r1" => Some(Mode::R1),
                "lift" => Some(Mode::Lift),
                _ => None,
            },
            use_sim_time: values.get("use_sim_time") == Some(&Value::Bool(true)),
            compressed: text("image_transport") == "compressed",
            reliable_input: text("qos_input") == "reliable",
            reliable_output: text("qos_output") == "reliable",
            points_period: (period > 0.0).then(|| Duration::from_secs_f64(period)),
            values,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(x) => write!(f, "{x}"),
            Self::Integer(x) => write!(f, "{x}"),
            Self::Double(x) => write!(f, "{x}"),
            Self::Text(x) => write!(f, "`{x}`"),
            Self::Texts(x) => write!(f, "{x:?}"),
            Self::Other(kind) => write!(f, "a value of type {kind}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str, value: Value) -> BTreeMap<String, Value> {
        BTreeMap::from([(name.to_owned(), value)])
    }

    #[test]
    fn defaults_hold_where_nothing_is_given() {
        let (settings, unknown) = read(&BTreeMap::new()).unwrap();
        assert_eq!((settings.values.len(), unknown.len()), (PARAMETERS.len(), 0));
        assert_eq!(settings.engine.sync.global_frame, "odom");
        assert_eq!(settings.engine.sync.tolerance_nanos, 20_000_000);
        assert_eq!(settings.engine, FusionSettings::default().engine(), "as on the command line");
        assert!(settings.cameras.is_empty() && settings.rig_file.is_none());
        assert!(
            settings.model_dir.is_none()
                && settings.mode.is_none()
                && !settings.use_sim_time
                && settings.reliable_output
        );
    }

    #[test]
    fn cameras_are_a_list_in_which_empty_names_do_not_count() {
        let names = Value::Texts(["", "front", "robot/rear"].map(str::to_owned).to_vec());
        let (settings, _) = read(&given("cameras", names)).unwrap();
        assert_eq!(settings.cameras, ["front", "robot/rear"]);
        let error = read(&given("cameras", Value::Text("front".into()))).unwrap_err().to_string();
        assert!(error.contains("`cameras`") && error.contains("list of texts"), "{error}");
    }

    #[test]
    fn the_mode_is_one_of_three() {
        let (settings, _) = read(&given("mode", Value::Text("lift".into()))).unwrap();
        assert_eq!(settings.mode, Some(Mode::Lift));
        let error = read(&given("mode", Value::Text("both".into()))).unwrap_err().to_string();
        assert_eq!(error, "parameter `mode` is `both`: it is `auto` or `r1` or `lift`");
    }

    #[test]
    fn whole_numbers_are_numbers_and_unknown_names_are_told() {
        let (settings, _) = read(&given("max_depth", Value::Integer(5))).unwrap();
        assert!((settings.engine.scene.tsdf.max_depth_m - 5.0).abs() < 1e-6);
        let (_, unknown) = read(&given("voxel_sise", Value::Double(0.1))).unwrap();
        assert_eq!(unknown, ["voxel_sise"]);
    }

    #[test]
    fn values_of_a_wrong_type_or_size_are_refused_by_name() {
        for (name, value, said) in [
            ("voxel_size", Value::Double(0.0), "parameter `voxel_size` is 0: it is a number from 0.002 to 0.5"),
            ("voxel_size", Value::Double(f64::NAN), "parameter `voxel_size` is NaN"),
            ("max_keyframes", Value::Double(3.5), "parameter `max_keyframes` is 3.5: it is a whole number"),
            (
                "qos_input",
                Value::Text("fast".into()),
                "parameter `qos_input` is `fast`: it is `best_effort` or `reliable`",
            ),
            ("use_sim_time", Value::Other("byte array"), "parameter `use_sim_time` is a value of type byte array"),
        ] {
            let error = read(&given(name, value)).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
