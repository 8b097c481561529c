//! Every ROS primitive that the node uses, wrapped once: node, parameters, subscriptions, publishers, the graph.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::{Stream, StreamExt};
use r2r::indexmap::IndexMap;
use r2r::qos::ReliabilityPolicy;
use r2r::{Parameter, ParameterValue, QosProfile, RosParams};

use super::names::Names;
use super::params::Value;

/// Messages that wait in a queue of the middleware.
const DEPTH: usize = 10;
/// `/tf` comes from many publishers at once.
const TRANSFORM_DEPTH: usize = 100;

/// How a topic is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Lost messages are not sent again; a subscription of this kind takes any publisher.
    BestEffort,
    /// Lost messages are sent again.
    Reliable,
    /// Reliable, with room for bursts of small messages.
    Burst,
    /// Reliable, and the last messages of every publisher reach those who come later.
    Latched,
}

/// A request of [`Bus::serve_views`].
pub(crate) type ViewsRequest = r2r::ServiceRequest<r2r::vantage_interfaces::srv::GetViews::Service>;

/// A publisher on the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publisher {
    pub(crate) node: String,
    pub(crate) type_name: String,
    pub(crate) reliable: bool,
}

/// The node on the ROS graph. One thread owns it.
pub(crate) struct Bus {
    node: r2r::Node,
    names: Names,
}

impl Bus {
    /// Joins the graph; the name and namespace may be given on the command line.
    pub(crate) fn join(name: &str) -> Result<Self> {
        let context = r2r::Context::create()
            .context("starting ROS: check the arguments after --ros-args, and that the parameter file is there")?;
        let node = r2r::Node::create(context, name, "").context("creating the node")?;
        let names = Names::new(&node.fully_qualified_name()?, &node.namespace()?, std::env::args());
        Ok(Self { node, names })
    }

    /// The full name of `name` on the graph.
    pub(crate) fn resolve(&self, name: &str) -> String {
        self.names.resolve(name)
    }

    /// Parameters from parameter files and the command line.
    pub(crate) fn given_parameters(&self) -> BTreeMap<String, Value> {
        let Ok(given) = self.node.params.lock() else { return BTreeMap::new() };
        given.iter().map(|(name, parameter)| (name.clone(), from_ros(&parameter.value))).collect()
    }

    /// Makes the parameters readable (`ros2 param list`, `get`); the future answers until it is dropped.
    pub(crate) fn declare(
        &mut self,
        values: &BTreeMap<&'static str, Value>,
    ) -> Result<impl Future<Output = ()> + Send + use<>> {
        let declared = Declared(values.iter().map(|(name, value)| ((*name).to_owned(), to_ros(value))).collect());
        let (services, _) = self
            .node
            .make_derived_parameter_handler(Arc::new(Mutex::new(declared)))
            .context("offering the parameter services")?;
        Ok(services)
    }

    /// Takes the time from `/clock`.
    pub(crate) fn use_sim_time(&mut self) -> Result<()> {
        let source = self.node.get_time_source();
        source.enable_sim_time(&mut self.node).context("subscribing to /clock for use_sim_time")
    }

    /// The serialised messages of a topic. The stream drops the newest when it is not read at once.
    pub(crate) fn listen(
        &mut self,
        topic: &str,
        type_name: &str,
        delivery: Delivery,
    ) -> Result<impl Stream<Item = Vec<u8>> + Unpin + Send + use<>> {
        self.node
            .subscribe_raw(topic, type_name, delivery.profile())
            .with_context(|| format!("subscribing to {topic} ({type_name})"))
    }

    /// The texts of a std_msgs/String topic.
    pub(crate) fn listen_text(&mut self, name: &str) -> Result<impl Stream<Item = String> + Unpin + Send + use<>> {
        let topic = self.resolve(name);
        let texts = self
            .node
            .subscribe::<r2r::std_msgs::msg::String>(&topic, Delivery::Reliable.profile())
            .with_context(|| format!("subscribing to {topic} (std_msgs/msg/String)"))?;
        Ok(texts.map(|message| message.data))
    }

    /// The requests of the service that tells the views of a question.
    pub(crate) fn serve_views(
        &mut self,
        name: &str,
    ) -> Result<impl Stream<Item = ViewsRequest> + Unpin + Send + use<>> {
        let service = self.resolve(name);
        self.node.create_service(&service, QosProfile::default()).with_context(|| format!("offering {service}"))
    }

    /// A publisher.
    pub(crate) fn advertise<T: r2r::WrappedTypesupport + 'static>(
        &mut self,
        name: &str,
        delivery: Delivery,
    ) -> Result<r2r::Publisher<T>> {
        let topic = self.resolve(name);
        self.node.create_publisher(&topic, delivery.profile()).with_context(|| format!("publishing on {topic}"))
    }

    /// Takes what has come, waiting at most `limit`.
    pub(crate) fn spin(&mut self, limit: Duration) {
        self.node.spin_once(limit);
    }

    /// Who publishes on a topic.
    pub(crate) fn publishers(&self, topic: &str) -> Vec<Publisher> {
        let found = self.node.get_publishers_info_by_topic(topic, false).unwrap_or_default();
        let mut publishers: Vec<Publisher> = found
            .into_iter()
            .map(|info| Publisher {
                node: format!("{}/{}", info.node_namespace.trim_end_matches('/'), info.node_name),
                type_name: info.topic_type,
                reliable: info.qos_profile.reliability != ReliabilityPolicy::BestEffort,
            })
            .collect();
        publishers.sort_by(|a, b| a.node.cmp(&b.node));
        publishers
    }

    /// Topics of a type that somebody publishes, sorted.
    pub(crate) fn published(&self, type_name: &str) -> Vec<String> {
        let topics = self.node.get_topic_names_and_types().unwrap_or_default();
        let fits = |topic: &String| self.publishers(topic).iter().any(|p| p.type_name == type_name);
        let mut found: Vec<String> = topics.into_keys().filter(fits).collect();
        found.sort();
        found
    }
}

impl Delivery {
    /// Reliable or not, as a parameter says.
    pub(crate) fn reliable(yes: bool) -> Self {
        if yes { Self::Reliable } else { Self::BestEffort }
    }

    fn profile(self) -> QosProfile {
        let profile = QosProfile::default().keep_last(DEPTH);
        match self {
            Self::BestEffort => profile.best_effort(),
            Self::Reliable => profile,
            Self::Burst => profile.keep_last(TRANSFORM_DEPTH),
            Self::Latched => profile.keep_last(TRANSFORM_DEPTH).transient_local(),
        }
    }
}

/// Parameters that can be read; they are applied at the start alone, so that setting one later is refused, not ignored.
struct Declared(IndexMap<String, ParameterValue>);

impl RosParams for Declared {
    fn register_parameters(
        &mut self,
        _prefix: &str,
        _parameter: Option<Parameter>,
        all: &mut IndexMap<String, Parameter>,
    ) -> r2r::Result<()> {
        *all = self.0.iter().map(|(name, value)| (name.clone(), Parameter::new(value.clone()))).collect();
        Ok(())
    }

    fn get_parameter(&mut self, name: &str) -> r2r::Result<ParameterValue> {
        self.0.get(name).cloned().ok_or_else(|| r2r::Error::InvalidParameterName { name: name.to_owned() })
    }

    fn set_parameter(&mut self, name: &str, value: &ParameterValue) -> r2r::Result<()> {
        self.check_parameter(name, value)
    }

    fn check_parameter(&self, name: &str, value: &ParameterValue) -> r2r::Result<()> {
        match self.0.get(name) {
            None => Err(r2r::Error::InvalidParameterName { name: name.to_owned() }),
            Some(now) if now == value => Ok(()),
            Some(_) => Err(r2r::Error::ParameterValueConv {
                name: name.to_owned(),
                msg: "it is read at the start; restart the node with the new value".to_owned(),
            }),
        }
    }
}

fn from_ros(value: &ParameterValue) -> Value {
    match value {
        ParameterValue::Bool(x) => Value::Bool(*x),
        ParameterValue::Integer(x) => Value::Integer(*x),
        ParameterValue::Double(x) => Value::Double(*x),
        ParameterValue::String(x) => Value::Text(x.clone()),
        ParameterValue::StringArray(x) => Value::Texts(x.clone()),
        other => Value::Other(other.type_name()),
    }
}

fn to_ros(value: &Value) -> ParameterValue {
    match value {
        Value::Bool(x) => ParameterValue::Bool(*x),
        Value::Integer(x) => ParameterValue::Integer(*x),
        Value::Double(x) => ParameterValue::Double(*x),
        Value::Text(x) => ParameterValue::String(x.clone()),
        Value::Texts(x) => ParameterValue::StringArray(x.clone()),
        Value::Other(_) => ParameterValue::NotSet,
    }
}
