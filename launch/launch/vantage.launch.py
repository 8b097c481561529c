"""Start the Vantage node on live cameras.

ros2 launch vantage_bringup vantage.launch.py color_topic:=/camera/color/image_raw depth_topic:=/camera/aligned_depth_to_color/image_raw
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

ARGUMENTS = [
    # name, default, description
    ("color_topic", "/camera/color/image_raw", "Colour image topic (sensor_msgs/Image)"),
    ("color_info_topic", "/camera/color/camera_info", "Calibration of the colour camera"),
    ("depth_topic", "/camera/aligned_depth_to_color/image_raw", "Depth image topic, aligned to colour (sensor_msgs/Image)"),
    ("depth_info_topic", "/camera/aligned_depth_to_color/camera_info", "Calibration of the depth image"),
    ("namespace", "", "Namespace of the node"),
    ("use_sim_time", "false", "Take the time from /clock"),
    ("rviz", "false", "Also start RViz with this package's view"),
    ("log_level", "info", "debug, info, warn or error"),
]


def share(*path):
    return PathJoinSubstitution([FindPackageShare("vantage_bringup"), *path])


def generate_launch_description():
    profile = share("config", "fastdds_large_messages.xml")
    use_sim_time = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
    return LaunchDescription(
        [DeclareLaunchArgument(name, default_value=default, description=text) for name, default, text in ARGUMENTS]
        + [
            DeclareLaunchArgument(
                "params_file", default_value=share("config", "vantage.yaml"), description="Parameter file of the node"
            ),
            # Jazzy reads the first, later releases the second.
            SetEnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", profile),
            SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile),
            Node(
                package="vantage_bringup",
                executable="vantage_node",
                name="vantage",
                namespace=LaunchConfiguration("namespace"),
                output="screen",
                parameters=[LaunchConfiguration("params_file"), {"use_sim_time": use_sim_time}],
                remappings=[
                    ("color/image_raw", LaunchConfiguration("color_topic")),
                    ("color/camera_info", LaunchConfiguration("color_info_topic")),
                    ("depth/image_raw", LaunchConfiguration("depth_topic")),
                    ("depth/camera_info", LaunchConfiguration("depth_info_topic")),
                ],
                arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
            ),
            Node(
                package="rviz2",
                executable="rviz2",
                arguments=["-d", share("rviz", "vantage.rviz")],
                parameters=[{"use_sim_time": use_sim_time}],
                condition=IfCondition(LaunchConfiguration("rviz")),
            ),
        ]
    )
