//! A type's name in, its definition in ros2msg form out, with those of the types within: what other tools need to read a
//! recording. Field order follows the public interface packages.

const SEPARATOR: &str = "\n================================================================================\n";
const TIME: &str = "MSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec";
const HEADER: &str = "MSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id";
const ROI: &str =
    "MSG: sensor_msgs/RegionOfInterest\nuint32 x_offset\nuint32 y_offset\nuint32 height\nuint32 width\nbool do_rectify";
const STAMPED: &str = "MSG: geometry_msgs/TransformStamped\nstd_msgs/Header header\nstring child_frame_id\ngeometry_msgs/Transform transform";
const TRANSFORM: &str =
    "MSG: geometry_msgs/Transform\ngeometry_msgs/Vector3 translation\ngeometry_msgs/Quaternion rotation";
const VECTOR: &str = "MSG: geometry_msgs/Vector3\nfloat64 x\nfloat64 y\nfloat64 z";
const QUATERNION: &str = "MSG: geometry_msgs/Quaternion\nfloat64 x\nfloat64 y\nfloat64 z\nfloat64 w";

/// The definition of a type that Vantage writes; `None` for any other.
pub fn schema_of(type_name: &str) -> Option<String> {
    let parts: &[&str] = match type_name {
        "sensor_msgs/msg/Image" => &[
            "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\nuint8[] data",
            HEADER,
            TIME,
        ],
        "sensor_msgs/msg/CompressedImage" => &["std_msgs/Header header\nstring format\nuint8[] data", HEADER, TIME],
        "sensor_msgs/msg/CameraInfo" => &[
            "std_msgs/Header header\nuint32 height\nuint32 width\nstring distortion_model\nfloat64[] d\nfloat64[9] k\nfloat64[9] r\n\
             float64[12] p\nuint32 binning_x\nuint32 binning_y\nsensor_msgs/RegionOfInterest roi",
            HEADER,
            TIME,
            ROI,
        ],
        "tf2_msgs/msg/TFMessage" => {
            &["geometry_msgs/TransformStamped[] transforms", STAMPED, HEADER, TIME, TRANSFORM, VECTOR, QUATERNION]
        }
        _ => return None,
    };
    Some(parts.join(SEPARATOR))
}
